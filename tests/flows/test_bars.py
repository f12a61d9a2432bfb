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
from pixtrack.flows import page_log
from pixtrack.flows.bars import BYTES, Unit, asking_bar, bar, counted, ready_words
from pixtrack.flows.terminal import DataConsole
from pixtrack.tasks.runs.protocol import Event


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines for where there is no terminal; those for the flow run's page are others."""
    return [line.getMessage() for line in caplog.records if line.name == "pixtrack.progress"]


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
    assert [line.partition(": ")[2] for line in logged(caplog)[1:]] == [
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
    assert logged(caplog)[-1].partition(": ")[2] == "400/600, 10.0 q/s, 20 s left"


@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_the_page_has_a_line_a_tenth_or_a_minute_whether_there_is_a_terminal_or_not(
    on_a_terminal: bool, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown_on = DataConsole(file=io.StringIO(), force_terminal=on_a_terminal)
    monkeypatch.setattr(progress, "console", shown_on)
    told: list[str] = []
    monkeypatch.setattr(page_log.PAGE, "info", lambda form, *values: told.append(form % values))
    with bar("model on sample", counted("q")) as shown:
        shown.begin(0, 1000)
        for done in range(1, 1001):  # 1000 s: a tenth takes 100 s, so that minutes come between
            clock[0] += 1
            shown.update(done, 1000)
        shown.update(1000, 1000)  # the end is told twice by the engine
    amounts = [line.split(": ")[1].split(",")[0] for line in told]
    assert "100/1000" in amounts and "60/1000" in amounts
    assert amounts.count("1000/1000") == 1
    assert 15 <= len(amounts) <= 25
    assert "500/1000, 1.0 q/s, 500 s left" in told[amounts.index("500/1000")]
    told.clear()
    with bar("short", counted("q")) as shown:  # a second long
        for done in range(101):
            clock[0] += 0.01
            shown.update(done, 100)
    assert len(told) == 1 and told[0].startswith("short: 100/100")


def test_an_engine_that_is_ready_is_described_with_what_it_tells() -> None:
    told: dict[str, Any] = {"name": "vllm", "version": "0.24.0", "platform": "CPU"}
    told |= {"kv_cache_tokens": 131072, "max_model_len": 2048}
    words = ready_words(Event(event="ready", elapsed_seconds=31.4, details=told))
    assert words == (
        "ready after 31 s: vllm 0.24.0 on CPU, KV cache for 131,072 tokens, max_model_len 2,048"
    )
    assert ready_words(Event(event="ready")) == "ready after 0 s: an engine"


def test_each_replica_is_beside_the_bar(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="pixtrack")
    cell = SimpleNamespace(
        model=SimpleNamespace(name="model"), dataset=SimpleNamespace(name="sample")
    )
    run: Any = SimpleNamespace(cell=cell, unanswered=600, requests=range(600))
    states = [("answering", "a", 12.34), ("answering", "b", 3.0), ("waiting for room", "", 0.0)]
    replicas = [
        {"replica": n, "state": state, "node": node, "rate": rate}
        for n, (state, node, rate) in enumerate(states, start=1)
    ]
    with asking_bar(run) as on_event:
        on_event(Event(event="progress", total=600, details={"replicas": replicas}))
        clock[0] += 20
        on_event(
            Event(event="progress", total=600, done=300, elapsed_seconds=20).model_copy(
                update={"details": {"replicas": replicas}}
            )
        )
    assert caplog.messages[-1].endswith(
        "(2 of 3 replicas, a #1 12.3/s, b #2 3.0/s, #3 waiting for room)"
    )


def test_bytes_are_written_as_a_download_has_them(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="pixtrack")
    with bar("model", BYTES) as shown:
        shown.update(2_000_000_000, 10_000_000_000)  # what an earlier command has fetched
        clock[0] += 20
        shown.update(4_000_000_000, 10_000_000_000)
    assert logged(caplog) == ["model: 4.00 of 10.00 GB, 100.0 MB/s, 60 s left"]


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


def test_80_columns_show_the_engines_start_and_the_asking_uncut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = DataConsole(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(progress, "console", shown)
    with bar("pixtral-nano on sample", counted("q")) as one:
        one.update(0, 268, "engine starting")
        one.begin(0, 268)
        one.update(120, 268, "62% cached")
        one._progress.refresh()  # type: ignore[union-attr]
    printed = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in printed
    for part in ("pixtral-nano on sample", "engine starting", "120/268", "62% cached"):
        assert part in printed


def test_a_short_command_shows_progress_but_no_other_information(tmp_path: Path) -> None:
    program = (
        "import logging; from pixtrack.flows.plain_text import show_warnings; show_warnings()\n"
        "from pixtrack.flows.bars import bar, counted\n"
        "logging.getLogger('pixtrack.tasks.x').info('a detail')\n"
        "with bar('prepare', counted('rows')) as shown: shown.update(5, 5)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.startswith("pixtrack: prepare: 5/5, ") and done.stderr.count("\n") == 1
