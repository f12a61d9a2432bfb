"""Makes a model's engine session, planned to this machine's memory, and may start it early."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download import model_identity
from pixtrack.tasks.environment import (
    Check,
    MemoryPlan,
    check_machine,
    detect,
    engine_version,
    plan_for_model,
)
from pixtrack.tasks.inference.clusters import (
    cluster_plan,
    cluster_report,
    host_maker,
    shared_cluster,
)
from pixtrack.tasks.inference.engines import engine_kind
from pixtrack.tasks.inference.host.cluster.planning import ClusterPlan
from pixtrack.tasks.inference.host.session import EngineSession
from pixtrack.tasks.runs.protocol import EngineSpec
from pixtrack.tasks.timings import timed

logger = logging.getLogger(__name__)

_early: dict[str, EngineSession] = {}
"""Engine sessions that were started before the flow, by model directory."""

_reports: dict[str, list[Check]] = {}
"""Reports on the machine from before an engine of this process took memory, by model name."""


def session_for(model: ModelConfig, files: Path | None, home: Home) -> EngineSession:
    """Makes an engine session without starting it, with a memory plan for an engine that runs
    here.
    """
    log = home.root / "logs" / f"engine-{model.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    kind = engine_kind(model)
    if files is None or not kind.runs_here:
        return EngineSession(kind.spec(model, files), log)
    plan = memory_plan(model, files, home)
    # Compromises of the plan (fp8, float16, less context) are shown as a warning.
    logger.log(logging.WARNING if plan.notes else logging.INFO, "memory plan: %s", plan.summary())
    return EngineSession(
        kind.spec(model, files, plan.engine_options, plan.replicas),
        log,
        _Smaller(model, files, plan),
        host_maker(model, home, _digest(model, files, home), _on_cluster(model, files, home), plan),
    )


def _digest(model: ModelConfig, files: Path, home: Home) -> str:
    """Of the model's files, where nodes of a cluster need them too."""
    if shared_cluster(model) is None:
        return ""
    return model_identity(model, files, home).get("files", "")


class _Smaller:
    """Makes the spec of the one retry after memory ran out at the start."""

    def __init__(self, model: ModelConfig, files: Path, plan: MemoryPlan) -> None:
        self._model, self._files, self._plan = model, files, plan

    def __call__(self) -> EngineSpec | None:
        here = self._plan.platform != "CPU" and shared_cluster(self._model) is None
        smaller = self._plan.smaller(detect().cards if here else ())
        if smaller is None:
            return None
        logger.warning("out of memory: trying once more with %s", smaller.summary())
        return engine_kind(self._model).spec(
            self._model, self._files, smaller.engine_options, smaller.replicas
        )


def start_early(model: ModelConfig, files: Path, home: Home, model_dir: Path | None = None) -> None:
    """Starts the engine before the flow, so that it loads while Prefect starts.

    The machine is checked before, because the engine then holds the memory that is checked for.
    """
    session = session_for(model, files, home)
    report = cluster_report(model, files, home)
    _reports[model.name] = check_machine(home, model, model_dir) if report is None else report
    session.start()
    _early[str(files)] = session


def report_before_start(model: ModelConfig, home: Home) -> list[Check] | None:
    """The report on the machine that was made before the engine's early start, or on a cluster.

    None where no engine was started early, and this machine is the one to look at.
    """
    made = _reports.pop(model.name, None)
    return cluster_report(model, None, home) if made is None else made


def acquire(model: ModelConfig, files: Path | None, home: Home) -> EngineSession:
    """The engine session of a model: the one started early, or a new one, which is not started."""
    return _early.pop(str(files), None) or session_for(model, files, home)


def close_early() -> None:
    """Closes the engines that were started early and that no flow has taken by `acquire`."""
    while _early:
        _early.popitem()[1].close()


def engine_facts(model: ModelConfig, files: Path | None, home: Home) -> dict[str, Any]:
    """What identifies the engine in a run's fingerprint: name, version, platform, and those options
    that can change an answer.
    """
    if files is None or not engine_kind(model).runs_here:
        return {"name": model.source.engine, "options": dict(model.engine)}
    options = memory_plan(model, files, home).answer_options
    plan = _on_cluster(model, files, home)
    if plan is not None:
        return {**plan.engine, "options": options}
    with timed("engine version"):
        return {**engine_version(), "options": options}


def longest_request(model: ModelConfig, files: Path | None, home: Home) -> int | None:
    """The max_model_len that the engine will have; None for an endpoint, which has its own."""
    return None if files is None else memory_plan(model, files, home).max_model_len


_plans: dict[str, tuple[MemoryPlan, ClusterPlan | None]] = {}


def memory_plan(model: ModelConfig, files: Path, home: Home) -> MemoryPlan:
    """The model's memory plan on this machine or its cluster, made once a process."""
    return _planned(model, files, home)[0]


def _on_cluster(model: ModelConfig, files: Path, home: Home) -> ClusterPlan | None:
    return _planned(model, files, home)[1]


def _planned(model: ModelConfig, files: Path, home: Home) -> tuple[MemoryPlan, ClusterPlan | None]:
    key = f"{model.name} {model.given} {model.cluster}"
    if key not in _plans:
        with timed("memory plan"):
            plan = cluster_plan(model, files, home)
            _plans[key] = (plan.memory if plan else plan_for_model(model, files)), plan
    return _plans[key]
