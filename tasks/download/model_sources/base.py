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
    made_when_used: bool
    """Whether `fetch` writes the files itself, in no time and without a network."""
    repair: str
    """What to do where the files turn out to be damaged."""
    address: str
    """Where the files, or their server, are, as `pixtrack models show` says it."""
    absent: str
    """What to say of files that are not in the data home, in two or three words."""

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

    def identity(self, home: Home, progress: Progress | None = None) -> dict[str, str]:
        """What of the model can change an answer, for a run's fingerprint.

        Reads the files where nobody has vouched for them (about a minute for 24 GB); raises
        OSError where they are not here.
        """
        ...

    def verify(self, home: Home, progress: Progress | None = None) -> tuple[list[str], int]:
        """What is wrong with the files, a line each, and how many were compared by sha256.

        Reads every byte again. Raises UserError where there can be no files.
        """
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
