"""How long anybody waits for a tracking server: seconds, whatever it does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TypeVar

from pixtrack.configs.addresses import shown
from pixtrack.tasks.servers.deadline import beside
from pixtrack.tasks.tracking.connection import is_server, server_problem
from pixtrack.tasks.tracking.recorder import TrackingUnavailable

T = TypeVar("T")

LOOK_EVERY_SECONDS = 5.0
"""How often a server that is being logged to is looked at."""

GIVEN_UP_AFTER_LOOKS = 2
"""A server that did not answer so many times in a row is away; once may be a busy moment."""

_IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def still_there(uri: str) -> None:
    """Raises TrackingUnavailable where the store is a server that does not answer any more."""
    problem = server_problem(uri) if is_server(uri) else ""
    if problem:
        raise TrackingUnavailable(f"MLflow server {shown(uri)} {problem}")


@contextmanager
def while_answers_wait(uri: str) -> Iterator[None]:
    """For requests to the store that a run waits for: looked at first, short waits, no retries.

    Raises TrackingUnavailable, within about 5 s, where the store is a server that is away or hangs.
    """
    still_there(uri)
    chosen = {name: os.environ.get(name) for name in _IMPATIENT}
    os.environ.update(_IMPATIENT)  # MLflow reads them at every request
    try:
        yield
    finally:
        for name, value in chosen.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def while_it_answers(uri: str, call: Callable[[], T]) -> T:
    """What `call`, which makes requests to the store, returns or raises.

    It may take as long as its uploads do, while the server answers when it is looked at beside
    them. Raises TrackingUnavailable within about 15 s where it does not any more, now or later; the
    call is left to itself then.
    """
    if not is_server(uri):
        return call()
    still_there(uri)
    future = beside(call)
    silent = 0
    while future not in wait([future], timeout=LOOK_EVERY_SECONDS).done:
        problem = server_problem(uri)
        silent = silent + 1 if problem else 0
        if silent == GIVEN_UP_AFTER_LOOKS and not future.done():
            raise TrackingUnavailable(f"MLflow server {shown(uri)} {problem}")
    return future.result()
