"""Where there is no terminal, a line now and then says how far a step is and how fast it goes."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from pixtrack.flows import bars as progress
from pixtrack.flows.bars import bar
from pixtrack.flows.steps import asking_bar
from pixtrack.tasks.runs.protocol import Event


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_rate_counts_from_the_works_own_beginning(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Not the engine's start, and not what an earlier command has answered."""
    caplog.set_level(logging.INFO, logger="pixtrack")
    with bar("model on sample", "q") as shown:
        shown.update(0, 600, "engine starting")
        clock[0] += 80
        shown.begin(100, 600)
        clock[0] += 10
        shown.update(350, 600)
        clock[0] += 10
        shown.update(600, 600)
    assert [line.partition(": ")[2] for line in caplog.messages[1:]] == [
        "350/600, 25.0 q/s, 10 s left",
        "600/600, 25.0 q/s, 0 s left",
    ]


def test_replicas_whose_first_word_comes_late_have_the_right_rate(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """All have to have told of their part before the whole is known; some have answered by then."""
    caplog.set_level(logging.INFO, logger="pixtrack")
    cell = SimpleNamespace(
        model=SimpleNamespace(name="model"), dataset=SimpleNamespace(name="sample")
    )
    run: Any = SimpleNamespace(cell=cell, unanswered=500, requests=range(600))
    with asking_bar(run) as on_event:
        clock[0] += 80
        told: dict[str, Any] = {"event": "progress", "total": 600, "already_answered": 100}
        on_event(Event(**told, done=100, elapsed_seconds=10))
        clock[0] += 20
        on_event(Event(**told, done=300, elapsed_seconds=30))
    assert caplog.messages[-1].partition(": ")[2] == "400/600, 10.0 q/s, 20 s left"
