"""Makes a model's engine session, planned to this machine's memory, and may start it early."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.environment import (
    Check,
    MemoryPlan,
    check_machine,
    detect,
    engine_version,
    plan_for_model,
)
from pixtrack.tasks.inference.engines import engine_kind
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
    plan = memory_plan(model, files)
    # Compromises of the plan (fp8, float16, less context) are shown as a warning.
    logger.log(logging.WARNING if plan.notes else logging.INFO, "memory plan: %s", plan.summary())
    return EngineSession(
        kind.spec(model, files, plan.engine_options, plan.replicas),
        log,
        _Smaller(model, files, plan),
    )


class _Smaller:
    """Makes the spec of the one retry after memory ran out at the start."""

    def __init__(self, model: ModelConfig, files: Path, plan: MemoryPlan) -> None:
        self._model, self._files, self._plan = model, files, plan

    def __call__(self) -> EngineSpec | None:
        planned_on_cards = self._plan.platform != "CPU"
        smaller = self._plan.smaller(detect().cards if planned_on_cards else ())
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
    _reports[model.name] = check_machine(home, model, model_dir)
    session.start()
    _early[str(files)] = session


def report_before_start(model: ModelConfig) -> list[Check] | None:
    """The report on the machine from before the engine's early start; None without such a start."""
    return _reports.pop(model.name, None)


def acquire(model: ModelConfig, files: Path | None, home: Home) -> EngineSession:
    """The engine session of a model: the one started early, or a new one, which is not started."""
    return _early.pop(str(files), None) or session_for(model, files, home)


def close_early() -> None:
    """Closes the engines that were started early and that no flow has taken by `acquire`."""
    while _early:
        _early.popitem()[1].close()


def engine_facts(model: ModelConfig, files: Path | None) -> dict[str, Any]:
    """What identifies the engine in a run's fingerprint: name, version, platform, and those options
    that can change an answer.
    """
    if files is None or not engine_kind(model).runs_here:
        return {"name": model.source.engine, "options": dict(model.engine)}
    with timed("engine version"):
        return {**engine_version(), "options": memory_plan(model, files).answer_options}


def longest_request(model: ModelConfig, files: Path | None) -> int | None:
    """The max_model_len that the engine will have; None for an endpoint, which has its own."""
    return None if files is None else memory_plan(model, files).max_model_len


_plans: dict[str, MemoryPlan] = {}


def memory_plan(model: ModelConfig, files: Path) -> MemoryPlan:
    """The model's memory plan on this machine, made once a process."""
    key = f"{model.name} {model.given}"
    if key not in _plans:
        with timed("memory plan"):
            _plans[key] = plan_for_model(model, files)
    return _plans[key]
