"""The running child has imported what it may, and nothing of the other steps.

`make lint` reads the imports that are written down; here the modules are those of a real child.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.protocol import EngineSpec
from tests.doubles.asking import write_job
from tests.doubles.endpoint import Endpoint

PARENTS_ALONE = re.compile(
    r"pixtrack\.(flows|configs\.loading|configs\.paths"
    r"|tasks\.(?!(inference|runs|records|images|locks|processes)\b)\w+"
    r"|tasks\.inference\.(?!(worker|engines|prompts)\b)\w+"
    r"|tasks\.runs\.(?!(image_groups|journal|protocol|requests)\b)\w+)"
    r"|(prefect|mlflow|psutil|pynvml|pandas|pyarrow|scipy|matplotlib|typer|yaml|filelock"
    r"|huggingface_hub|ray)\b"
)


def imported(spec: EngineSpec, requests: list[Request], folder: Path) -> set[str]:
    """The modules that a child imports while it answers."""
    log = folder / "engine.log"
    with EngineProcess(spec, log) as process:
        process.submit(write_job(folder, requests))
        process.no_more_jobs()
        events = list(process.events())
    assert events[-1].event == "closed" and "job_done" in {event.event for event in events}
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def test_a_child_that_asks_an_endpoint_imports_nothing_of_the_other_steps(
    ask_about: Callable[[int, int], list[Request]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with Endpoint() as endpoint:
        spec = EngineSpec(
            engine="openai", format="endpoint", family="", options={"base_url": endpoint.url}
        )
        modules = imported(spec, ask_about(1, 2), tmp_path)
    assert "pixtrack.tasks.inference.engines.openai" in modules
    assert [*filter(PARENTS_ALONE.match, modules)] == ["pixtrack.tasks.retrying"]
    assert not modules & {"vllm", "torch", "transformers"}


@pytest.mark.engine
def test_a_child_that_runs_vllm_imports_nothing_of_the_other_steps(
    tiny_spec: EngineSpec,
    ask_about: Callable[[int, int], list[Request]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    modules = imported(tiny_spec, ask_about(1, 2), tmp_path)
    assert "pixtrack.tasks.inference.engines.vllm" in modules
    ours = {module for module in modules if module.startswith("pixtrack")}
    assert not sorted(filter(PARENTS_ALONE.match, ours))
    assert not {"prefect", "mlflow"} & modules
