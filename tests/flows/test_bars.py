"""Where there is no terminal, a line now and then says how far a step is and how fast it goes."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixtrack.flows import bars as progress
from pixtrack.flows.bars import BYTES, Unit, asking_bar, bar, counted
from pixtrack.flows.terminal import DataConsole
from pixtrack.tasks.runs.protocol import Event


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_rate_counts_from_the_works_own_beginning(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Not the engine's start, and not what an earlier command has answered."""
    caplog.set_level(logging.INFO, logger="pixtrack")
    with bar("model on sample", counted("q")) as shown:
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


def test_bytes_are_written_as_a_download_has_them(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="pixtrack")
    with bar("model", BYTES) as shown:
        shown.update(2_000_000_000, 10_000_000_000)  # what an earlier command has fetched
        clock[0] += 20
        shown.update(4_000_000_000, 10_000_000_000)
    assert caplog.messages == ["model: 4.00 of 10.00 GB, 100.0 MB/s, 60 s left"]


@pytest.mark.parametrize("unit", [BYTES, counted("rows")])
def test_a_terminal_shows_amount_and_rate(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = DataConsole(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr(progress, "console", shown)
    with bar("[b]a name[/b]", unit) as one:
        one.update(3_000_000_000, 6_000_000_000, "a note")
        one.downloading("a.parquet", 1, 2)
    assert isinstance(shown.file, io.StringIO)
    printed = shown.file.getvalue()
    assert "[b]a name[/b]" in printed
    assert unit.amount(3_000_000_000, 6_000_000_000) in printed


def test_a_short_command_shows_progress_but_no_other_information(tmp_path: Path) -> None:
    program = (
        "import logging; from pixtrack.flows.plain_text import show_warnings; show_warnings()\n"
        "from pixtrack.flows.bars import bar, counted\n"
        "logging.getLogger('pixtrack.tasks.x').info('a detail')\n"
        "with bar('prepare', counted('rows')) as shown: shown.update(5, 5)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.startswith("pixtrack: prepare: 5/5, ") and done.stderr.count("\n") == 1
