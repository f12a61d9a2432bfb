"""The lock by which one process at a time fetches or writes a model's files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pixtrack.configs.paths import Home

logger = logging.getLogger(__name__)


@contextmanager
def model_lock(home: Home, model: str) -> Iterator[None]:
    """Holds the model's lock during the block. Waits for it, with a warning, where another has
    it.
    """
    # Imported here: the environment check also runs on machines with few packages.
    from filelock import FileLock, Timeout

    path = home.models / f".{model}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.warning("another process is fetching %s: waiting for it (%s)", model, path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
