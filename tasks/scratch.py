"""Temporary folders that are removed even if the processes that use them are killed.

Every process that uses a folder has a locked file in it open; child processes inherit the
descriptor. The next process that makes a folder removes those whose file no process has locked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.tasks.locks import lock_descriptor

PREFIX = "pixtrack-"
_LOCK = ".in-use"
_SOCKET_PATH_BYTES = 106
"""Most bytes of a socket's path; Linux allows 107."""


@dataclass(frozen=True)
class Scratch:
    """A temporary folder in use."""

    path: Path
    lock: int
    """File descriptor: the folder is in use as long as any process has it open."""

    def remove(self) -> None:
        """Removes the folder; does nothing where it is gone already."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self.lock)


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A temporary folder that exists during the block; `purpose` is part of its name."""
    scratch = make_scratch(f"{PREFIX}{purpose}-")
    try:
        yield scratch.path
    finally:
        scratch.remove()


def make_scratch(prefix: str = PREFIX, socket_name_bytes: int = 0) -> Scratch:
    """Makes a folder in the system's place for temporary files.

    Args:
        prefix: how its name begins
        socket_name_bytes: make its path short enough for Unix sockets with names of this length,
            if needed in another usual place

    Raises:
        UserError: no place is short enough
    """
    for place in _places():
        longest = len(os.fsencode(place)) + len(prefix) + 10 + socket_name_bytes
        if socket_name_bytes and longest > _SOCKET_PATH_BYTES:
            continue
        remove_abandoned(place)
        with contextlib.suppress(OSError):
            return _in_use(Path(tempfile.mkdtemp(prefix=prefix, dir=place)))
    raise UserError(
        f"{tempfile.gettempdir()}: no temporary folder can be made there, or its path is too long "
        "for the sockets in it: set TMPDIR to a folder with a short path that can be written"
    )


def remove_abandoned(place: Path) -> None:
    """Removes the scratch folders in `place` that no process uses any more."""
    for lock in place.glob(f"{PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):
            file = os.open(lock, os.O_RDWR)
            try:
                if lock_descriptor(file):
                    shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(file)


def _places() -> list[Path]:
    chosen = Path(tempfile.gettempdir())
    usual = [Path("/tmp"), Path("/var/tmp"), Path(f"/run/user/{os.getuid()}"), Path("/dev/shm")]
    return [chosen, *(place for place in usual if place.is_dir() and place != chosen)]


def _in_use(folder: Path) -> Scratch:
    # Locked before it has the name that others look for.
    new = folder / f"{_LOCK}.new"
    file = os.open(new, os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks: nobody cleans up after us
        lock_descriptor(file)
        new.rename(folder / _LOCK)
    return Scratch(folder, file)
