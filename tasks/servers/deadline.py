"""Calls that somebody else may hold up for ever, and how long they are waited for."""

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
    """What `call` returns or raises, once it has: it runs in a thread of its own, as of now.

    The thread does not keep the process from ending. (A pool's threads would: Python waits for
    them.)
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
    """What `call` returns or raises; TimeoutError where it has not ended by then.

    It is left to itself afterwards: looking up a name, or reading an answer that comes a byte at a
    time, heeds no time limit of a client.
    """
    future = beside(call)
    if future not in wait([future], timeout=seconds).done:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return future.result()


def something_still_waits() -> bool:
    """Whether a call goes on that nobody waits for any more."""
    return any(thread.is_alive() for thread in _threads)
