"""Where there is no terminal, a line now and then says how far a step is and how fast it goes."""

from __future__ import annotations

import logging

import pytest

from flows import progress
from flows.progress import bar


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
