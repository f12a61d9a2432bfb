"""Calls with a deadline that holds whatever the call itself waits for."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar
from weakref import WeakSet

T = TypeVar("T")

_threads: WeakSet[threading.Thread] = WeakSet()


def beside(call: Callable[[], T]) -> Future[T]:
    """Starts the call in a thread of its own; the future has what it returns or raises.

    The thread does not keep the process from ending, as a pool's threads would: Python waits for
    those.
    """
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(call))
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="beside", daemon=True)
    _threads.add(thread)
    thread.start()
    return future


def within(seconds: float, call: Callable[[], T]) -> T:
    """Returns or raises what `call` does. Raises TimeoutError if it has not ended after `seconds`.

    The call goes on after the deadline: looking up a host name, and reading a reply that arrives
    byte by byte, ignore a client's own time limits.
    """
    future = beside(call)
    if future not in wait([future], timeout=seconds).done:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return future.result()


def something_still_waits() -> bool:
    """Whether a call still runs after its deadline."""
    return any(thread.is_alive() for thread in _threads)
