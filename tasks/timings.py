"""The time that each part of a command takes, for `--timings`."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_spent: dict[str, float] = {}
_started = time.monotonic()


@contextmanager
def timed(part: str) -> Iterator[None]:
    """Adds the wall time of the block to the part."""
    start = time.monotonic()
    try:
        yield
    finally:
        note(part, time.monotonic() - start)


def note(part: str, seconds: float) -> None:
    """Adds seconds to a part."""
    _spent[part] = _spent.get(part, 0.0) + seconds


def print_timings() -> None:
    """Prints to stderr the seconds of each part, in order of their beginning, then total and
    memory.
    """
    for part, seconds in [*_spent.items(), ("in all", time.monotonic() - _started)]:
        print(f"{seconds:8.2f} s  {part}", file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{peak:8.0f} MB peak memory of this process", file=sys.stderr)
