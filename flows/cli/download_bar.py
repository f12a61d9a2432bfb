"""The bar of a download: bytes, rate and time left on stderr."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from pixtrack.flows.terminal import DataConsole

LINE_EVERY_SECONDS = 10.0

logger = logging.getLogger("pixtrack")


@contextmanager
def download_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function that takes bytes here and bytes in all; a line every ten seconds in a log file."""
    console = DataConsole(stderr=True)
    if not console.is_terminal:
        yield _Lines(title, console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class _Lines:
    def __init__(self, title: str, console: DataConsole) -> None:
        self._title, self._console = title, console
        self._started = self._said = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first, self._started = done, now
        if now - self._said < LINE_EVERY_SECONDS:
            return
        self._said = now
        rate = (done - self._first) / max(now - self._started, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate > 0 else ""
        self._console.print(
            f"{self._title}: {done / 1e9:.2f} of {total / 1e9:.2f} GB, {rate / 1e6:.1f} MB/s{left}"
        )
