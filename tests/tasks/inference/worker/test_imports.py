"""The running child has imported what it may, and nothing of the other steps.

`make lint` reads the imports that are written down; here the modules are those of a real child.
A child with vLLM: engines/test_vllm.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.protocol import EngineSpec
from tests.doubles.asking import write_job
from tests.doubles.child_imports import PARENTS_ALONE, VARIABLE, imported
from tests.doubles.endpoint import Endpoint


def test_a_child_that_asks_an_endpoint_imports_nothing_of_the_other_steps(
    ask_about: Callable[[int, int], list[Request]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    log = tmp_path / "engine.log"
    with Endpoint() as endpoint:
        spec = EngineSpec(
            engine="openai", format="endpoint", family="", options={"base_url": endpoint.url}
        )
        with EngineProcess(spec, log) as process:
            process.submit(write_job(tmp_path, ask_about(1, 2)))
            process.no_more_jobs()
            events = list(process.events())
    assert events[-1].event == "closed" and "job_done" in {event.event for event in events}
    modules = imported(log)
    assert "pixtrack.tasks.inference.engines.openai" in modules
    assert [*filter(PARENTS_ALONE.match, modules)] == ["pixtrack.tasks.retrying"]
    assert not modules & {"vllm", "torch", "transformers"}
