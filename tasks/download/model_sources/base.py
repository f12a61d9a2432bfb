"""What every kind of model source can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.transfer import Progress

SourceName = Literal["huggingface", "modelscope"]


@dataclass(frozen=True)
class Fetching:
    """How files are to be fetched."""

    progress: Progress | None = None
    """Called with the bytes that are here and the bytes in all."""
    source: SourceName | None = None
    """None: as PIXTRACK_MODEL_SOURCE says, else where the files came from before, else the hub."""
    refresh: bool = False
    """Whether to ask again what an unpinned revision stands for."""


@dataclass(frozen=True)
class Availability:
    """Whether a model's files are here, as the check of the machine reports it."""

    status: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str = ""
    missing_bytes: float = 0
    """What still has to be downloaded."""


class ModelFiles(Protocol):
    """Looks after the files of one model."""

    needs_network: bool
    """Whether `fetch` may ask somebody over the network."""
    repair: str
    """What to do where the files turn out to be damaged."""

    def directory(self, home: Home) -> Path:
        """Where the files are, or will be."""
        ...

    def here(self, home: Home) -> Path | None:
        """The directory where the files are here and whole already; else None.

        Asks no network and reads headers only.
        """
        ...

    def fetch(self, home: Home, how: Fetching) -> Path:
        """The directory with the files, complete and verified. Raises UserError."""
        ...

    def availability(self, home: Home) -> Availability:
        """Whether the files are here. Asks no network; never raises."""
        ...


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Turns a full or read-only disk, or a file in place of the folder, into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or directory}: cannot be written ({error.strerror}): free space, or "
            "set PIXTRACK_HOME to another folder"
        ) from error
