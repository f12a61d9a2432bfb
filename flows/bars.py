"""The progress of a long step: a bar with an amount, a rate and the time left, on stderr.

On a terminal it is drawn in place; elsewhere (a worker, a log file) a line is logged every ten
seconds. The page of the flow run in Prefect, if there is one, gets a line at each tenth of the way,
and once a minute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pixtrack.flows.page_log import OURS, PAGE
from pixtrack.flows.terminal import DataConsole
from pixtrack.tasks.runs.opening import OpenRun
from pixtrack.tasks.runs.protocol import Event

_BESIDE_THE_BAR = 75
"""Characters of title, amount, rate, times and note: in 80 columns the bar gives way to them."""

LINE_EVERY_SECONDS = 10.0
PAGE_EVERY_SECONDS = 60.0
PAGE_SECONDS_BETWEEN = 2.0
"""A short step, whose tenths follow each other faster, has fewer lines on the page."""
MOST_RATES = 4
"""Replicas whose rates fit beside a bar."""

console = DataConsole(stderr=True)
logger = logging.getLogger("pixtrack.progress")


@dataclass(frozen=True)
class Unit:
    """What a step counts, and how that is written."""

    amount: Callable[[float, float | None], str]
    """Of (done, total or None)."""
    rate: Callable[[float], str]
    """Of units a second."""


def counted(name: str) -> Unit:
    """Whole things of that name: `20/600`, `25.0 q/s`."""
    return Unit(
        amount=lambda done, total: f"{done:.0f}/{total:.0f}" if total else f"{done:.0f}",
        rate=lambda per_second: f"{per_second:.1f} {name}/s",
    )


BYTES = Unit(
    amount=lambda done, total: (
        f"{done / 1e9:.2f} of {total / 1e9:.2f} GB" if total else f"{done / 1e9:.2f} GB"
    ),
    rate=lambda per_second: f"{per_second / 1e6:.1f} MB/s",
)


class AmountColumn(ProgressColumn):
    """How much is done, of how much."""

    def render(self, task: Task) -> Text:
        """The amount in the step's own unit."""
        return Text(task.fields["unit"].amount(task.completed, task.total), style="green")


class RateColumn(ProgressColumn):
    """Units a second since the work began."""

    def render(self, task: Task) -> Text:
        """The rate, or a dash before the first unit."""
        speed = task.finished_speed or task.speed
        return Text(task.fields["unit"].rate(speed) if speed else "-", style="cyan")


class Bar:
    """One long step's progress. `update` takes totals, not increments."""

    def __init__(self, title: str, unit: Unit, progress: Progress | None) -> None:
        self._title, self._unit, self._progress = title, unit, progress
        self._task = progress.add_task(title, total=None, unit=unit, note="") if progress else None
        self._started = time.monotonic()
        self._logged = self._told = self._started
        self._told_tenth = 0
        self._finished = False
        self._first: int | None = None

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Sets how much is done, of how much, and a short note (failures, cache hits)."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._started = done, now
        finished = bool(total) and done == total
        ends, self._finished = finished and not self._finished, finished
        if ends or (not finished and self._is_worth_a_line(done, total, now)):
            self._told, self._told_tenth = now, _tenth(done, total)
            PAGE.info("%s", self._line(done, total, note, now))
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, note=note)
        elif ends or (not finished and now - self._logged >= LINE_EVERY_SECONDS):
            self._logged = now
            logger.info("%s", self._line(done, total, note, now))

    def _is_worth_a_line(self, done: int, total: int | None, now: float) -> bool:
        """Whether the page gets a line: a tenth more is done, or a minute has passed."""
        further = _tenth(done, total) > self._told_tenth
        return now - self._told >= (PAGE_SECONDS_BETWEEN if further else PAGE_EVERY_SECONDS)

    def _line(self, done: int, total: int | None, note: str, now: float) -> str:
        rate = (done - (self._first or 0)) / max(now - self._started, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if total and rate > 0 else ""
        tail = f" ({note})" if note else ""
        amount, speed = self._unit.amount(done, total), self._unit.rate(rate)
        return f"{self._title}: {amount}, {speed}{left}{tail}"

    def begin(self, done: int, total: int, seconds_ago: float = 0.0) -> None:
        """Starts counting rate and time left, because the work itself begins.

        Args:
            done: units done by an earlier command, which do not count towards the rate
            total: units in all
            seconds_ago: time since the actual beginning
        """
        self._first, self._started = done, time.monotonic() - seconds_ago
        self._told_tenth, self._finished = _tenth(done, total), False
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, completed=done, total=total)
        else:
            self.update(done, total)

    def downloading(self, name: str, done: int, total: int) -> None:
        """Shows how much of a file has arrived, in bytes, beside the step's own progress."""
        note = f"{name}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
        if time.monotonic() - self._told >= PAGE_EVERY_SECONDS:
            self._told = time.monotonic()
            PAGE.info("%s: %s", self._title, note)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, note=note)
        elif time.monotonic() - self._logged >= LINE_EVERY_SECONDS:
            self._logged = time.monotonic()
            logger.info("%s: %s", self._title, note)


def _tenth(done: int, total: int | None) -> int:
    """How many tenths of the way are done; 0 where nobody knows how long it is."""
    return 10 * done // total if total else 0


@contextmanager
def bar(title: str, unit: Unit) -> Iterator[Bar]:
    """A progress bar that is shown during the block."""
    if not console.is_terminal:
        yield Bar(title, unit, None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=min(40, max(5, console.width - _BESIDE_THE_BAR))),
        AmountColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(title, unit, progress)


@contextmanager
def asking_bar(run: OpenRun) -> Iterator[Callable[[Event], None]]:
    """The bar of a run's questions; yields the function that takes the engine's events.

    It shows how many are answered, the rate, and notes on cache hits, failures and answers that
    were cut off. Answers of earlier commands count as done, but not towards the rate.
    """
    title = f"{run.cell.model.name} on {run.cell.dataset.name}"
    if not run.unanswered:
        OURS.info("%s: every question is already answered", title)
        yield lambda _event: None
        return
    with bar(title, counted("q")) as shown:
        shown.update(0, len(run.requests), "engine starting")
        begun = False

        def on_event(event: Event) -> None:
            nonlocal begun
            if event.event == "starting":
                shown.update(0, len(run.requests), event.message or "engine starting")
                PAGE.info("engine: %s", event.message or "starting")
            if event.event == "ready":
                PAGE.info("engine: %s", ready_words(event))
            if not event.total:
                return
            if not begun or not event.done:
                begun = True
                shown.begin(event.already_answered, event.total, event.elapsed_seconds)
            if event.done:
                shown.update(event.done + event.already_answered, event.total, _notes(event))

        yield on_event


def ready_words(event: Event) -> str:
    """What came up, in how many seconds, and how much of it there is."""
    told = event.details
    named = " ".join(str(told[key]) for key in ("name", "version") if told.get(key))
    parts = [f"ready after {event.elapsed_seconds:.0f} s: {named or 'an engine'}"]
    if told.get("platform"):
        parts[0] += f" on {told['platform']}"
    if told.get("kv_cache_tokens"):
        parts.append(f"KV cache for {told['kv_cache_tokens']:,} tokens")
    if told.get("max_model_len"):
        parts.append(f"max_model_len {told['max_model_len']:,}")
    return ", ".join(parts)


def _notes(event: Event) -> str:
    """A note on cache hits, failures, cut-off answers and retries, where there are any."""
    notes = []
    if event.prompt_tokens:
        notes.append(f"{100 * event.cached_tokens / event.prompt_tokens:.0f}% cached")
    if event.failed:
        notes.append(f"{event.failed} failed")
    if event.truncated:
        notes.append(f"{event.truncated} truncated")
    if event.retried:
        notes.append(f"{event.retried} tried again")
    notes += _replicas(event.details.get("replicas") or ())
    return ", ".join(notes)


def _replicas(replicas: Sequence[Mapping[str, Any]]) -> list[str]:
    """How each of several replicas stands: its node with its rate, or what keeps it from work.

    Of many, only those that do not answer are named.
    """
    at_work = [one for one in replicas if one["state"] == "answering"]
    others = [one for one in replicas if one["state"] != "answering"]
    notes = [f"{len(at_work)} of {len(replicas)} replicas"] if replicas else []
    if len(at_work) <= MOST_RATES:
        notes += [f"{one['node']} #{one['replica']} {one['rate']:.1f}/s" for one in at_work]
    return notes + [f"#{one['replica']} {one['state']}" for one in others[:MOST_RATES]]
