"""How long a test waits for what must happen: bounds that no busy machine can break.

A bound tells what comes to an end from what does not; how quick something is belongs to `bench/`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENOUGH_SECONDS = 60.0
"""Where the alternative is "never": no machine is so busy, and pytest's own limit is far away."""


def wait_until(
    condition: Callable[[], object],
    what: str,
    seconds: float = ENOUGH_SECONDS,
    every: float = 0.02,
) -> float:
    """Polls until the condition holds; returns how many seconds that took.

    Raises AssertionError, which names `what` was waited for, after `seconds`.
    """
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise AssertionError(f"after {seconds:g} s still not: {what}")
        time.sleep(every)
    return time.monotonic() - start


@contextmanager
def at_most(seconds: float = ENOUGH_SECONDS) -> Iterator[None]:
    """Asserts that the block takes no longer: for what must give up instead of waiting for ever."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds, f"took {took:.1f} s of at most {seconds:g}"


@contextmanager
def processor_at_most(seconds: float) -> Iterator[None]:
    """Asserts that the block takes no more of the processor, whatever else the machine does.

    Give ten times what it takes: what grows with the square of its input takes a thousand times.
    """
    start = time.process_time()
    yield
    took = time.process_time() - start
    assert took < seconds, f"took {took:.1f} s of the processor, of at most {seconds:g}"
