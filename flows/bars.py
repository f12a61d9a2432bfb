"""What a person sees of a long step: a bar with a rate and an ETA on stderr.

On a terminal it is drawn in place; elsewhere (a worker, a log file) a line every ten seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pixtrack.flows.terminal import DataConsole

LINE_EVERY_SECONDS = 10.0

console = DataConsole(stderr=True)
logger = logging.getLogger("pixtrack")


class RateColumn(ProgressColumn):
    """Units a second since the task was taken up."""

    def render(self, task: Task) -> Text:
        """The rate, or a dash before the first unit."""
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "it")
        return Text(f"{speed:.1f} {unit}/s" if speed else f"- {unit}/s", style="cyan")


class Bar:
    """One long step's progress. `update` takes totals, not increments."""

    def __init__(self, title: str, unit: str, progress: Progress | None) -> None:
        self._title, self._unit, self._progress = title, unit, progress
        self._task = progress.add_task(title, total=None, unit=unit, note="") if progress else None
        self._started = time.monotonic()
        self._said = self._started
        self._first: int | None = None

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Sets how much is done, of how much, and a short note (failures, cache hits)."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, note=note)
            return
        now = time.monotonic()
        if self._first is None:
            self._first, self._started = done, now
        finished = bool(total) and done == total
        if now - self._said < LINE_EVERY_SECONDS and not finished:
            return
        self._said = now
        rate = (done - self._first) / max(now - self._started, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if total and rate > 0 else ""
        of = f"/{total}" if total else ""
        tail = f" ({note})" if note else ""
        logger.info("%s: %d%s, %.1f %s/s%s%s", self._title, done, of, rate, self._unit, left, tail)

    def begin(self, done: int, total: int, seconds_ago: float = 0.0) -> None:
        """The work itself begins, after a start-up or with `done` units of an earlier time: rate
        and ETA count from here.
        """
        self._first, self._started = done, time.monotonic() - seconds_ago
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, completed=done, total=total)
        else:
            self.update(done, total)

    def downloading(self, name: str, done: int, total: int) -> None:
        """Shows how much of a file has arrived, in bytes, beside the step's own progress."""
        note = f"{name}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, note=note)
        elif time.monotonic() - self._said >= LINE_EVERY_SECONDS:
            self._said = time.monotonic()
            logger.info("%s: %s", self._title, note)


@contextmanager
def bar(title: str, unit: str = "it") -> Iterator[Bar]:
    """A progress bar for the length of the block."""
    if not console.is_terminal:
        yield Bar(title, unit, None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(title, unit, progress)
