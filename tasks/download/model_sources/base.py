"""The interface of a kind of model source."""

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
    """Called with the bytes present so far and the bytes in all."""
    source: SourceName | None = None
    """Where to fetch from. None: PIXTRACK_MODEL_SOURCE, else where the present files came from,
    else the hub."""
    refresh: bool = False
    """Whether to resolve an unpinned revision again."""


@dataclass(frozen=True)
class Availability:
    """Whether a model's files are on this machine, for the report of `pixtrack check`."""

    status: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str = ""
    missing_bytes: float = 0
    """Bytes that still have to be downloaded."""


class ModelFiles(Protocol):
    """Manages the files of one model."""

    needs_network: bool
    """Whether `fetch` may use the network."""
    made_when_used: bool
    """Whether `fetch` generates the files itself, which takes no time and no network."""
    repair: str
    """The remedy to name where files turn out to be damaged."""
    address: str
    """Where the files, or their server, are: the words of `pixtrack models show`."""
    absent: str
    """Two or three words for files that are not in the data home."""

    def directory(self, home: Home) -> Path:
        """Where the files are, or will be."""
        ...

    def here(self, home: Home) -> Path | None:
        """The directory if the files are complete on this machine; else None.

        Uses no network and reads headers only.
        """
        ...

    def fetch(self, home: Home, how: Fetching) -> Path:
        """Makes the files complete and verified, and returns their directory.

        Raises UserError where they cannot be fetched, or are not what the configuration says.
        """
        ...

    def availability(self, home: Home) -> Availability:
        """Whether the files are on this machine. Uses no network; never raises."""
        ...

    def identity(self, home: Home, progress: Progress | None = None) -> dict[str, str]:
        """What identifies the model in a run's fingerprint.

        Reads files whose digests are not known (about a minute for 24 GB). Raises OSError where
        the files are not on this machine.
        """
        ...

    def verify(self, home: Home, progress: Progress | None = None) -> tuple[list[str], int]:
        """Reads every byte of the files and checks them.

        Returns what is wrong, one line for each file, and how many files were compared by sha256.
        Raises UserError for a model without files.
        """
        ...


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Turns errors of writing (full or read-only disk, a file in the folder's place) into
    UserError.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or directory}: cannot be written ({error.strerror}): free space, or "
            "set PIXTRACK_HOME to another folder"
        ) from error
