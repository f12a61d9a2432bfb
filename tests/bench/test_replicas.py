"""What the comparison of one engine with several replicas says of its stages."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import replicas
from pixtrack.tasks.runs.protocol import Event


def test_the_ratio_is_kept_where_both_stages_were_measured(tmp_path: Path) -> None:
    stages = {"one engine": {"samples_per_s": 20.0}, "2 replicas": {"samples_per_s": 39.0}}
    replicas.keep(stages, tmp_path)
    assert json.loads((tmp_path / "replicas.json").read_text())["ratio"] == 1.95


@pytest.mark.parametrize("second", [{}, {"2 replicas": {"failed": "engine_failed: no card"}}])
def test_one_stage_alone_is_kept_without_a_ratio(tmp_path: Path, second: dict[str, object]) -> None:
    stages = {"one engine": {"samples_per_s": 20.0}, **second}
    replicas.keep(stages, tmp_path)
    assert json.loads((tmp_path / "replicas.json").read_text()) == stages


@pytest.mark.parametrize("last", ["engine_failed", "job_failed", "closed"])
def test_an_engine_that_ends_early_is_no_measurement(last: str) -> None:
    with pytest.raises(RuntimeError, match=f"{last}: out of memory"):
        replicas.until(_events(Event(event="ready"), last), "job_done")


def test_events_before_the_awaited_one_are_passed_over() -> None:
    assert replicas.until(_events(Event(event="ready"), "job_done"), "job_done").event == "job_done"


def _events(first: Event, last: str) -> Iterator[Event]:
    yield first
    yield Event.model_validate({"event": last, "message": "out of memory"})
