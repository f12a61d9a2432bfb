"""Measures how long a coroutine blocks its event loop."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Timed(Generic[T]):
    """Awaits a coroutine and sums the processor time of its steps, in `seconds`.

    Not counted: time in which it waits and others run, and the work of other threads for it.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.seconds = 0.0
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        """Runs the steps of the coroutine as the event loop does."""
        step = self._coroutine.send
        value: Any = None
        while True:
            started = time.thread_time()
            try:
                waiting_for = step(value)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                self.seconds += time.thread_time() - started
            try:
                value = yield waiting_for
                step = self._coroutine.send
            except BaseException as error:  # a cancellation belongs to the coroutine
                value, step = error, self._coroutine.throw
