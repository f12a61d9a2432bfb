"""`.pixtrack.json` in a model directory: the digests of its files, so that they are hashed only
once.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pixtrack.tasks.files import write_atomically

MANIFEST = ".pixtrack.json"


class FileState(BaseModel):
    """A verified file. While size and modification time are unchanged, so is the content."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path, sha256: str) -> FileState:
        """The state of a file whose content has just been hashed."""
        stat = path.stat()
        return cls(size=stat.st_size, mtime_ns=stat.st_mtime_ns, sha256=sha256)

    def unchanged(self, path: Path) -> bool:
        """Whether the file is still what it was when it was verified."""
        try:
            stat = path.stat()
        except OSError:
            return False
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)


class Manifest(BaseModel):
    """Where a directory's files came from, and their digests."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    source: str
    """huggingface, modelscope, generated or local."""
    repo: str = ""
    requested_revision: str = ""
    """The revision in the model's configuration: a commit, or the name of a branch or tag."""
    revision: str = ""
    """The commit that the requested revision stood for."""
    verified: str = ""
    """When the files were verified: UTC, ISO 8601."""
    files: dict[str, FileState]

    def unchanged(self, directory: Path) -> bool:
        """Whether every file exists and is unchanged since it was verified."""
        return bool(self.files) and all(
            state.unchanged(directory / name) for name, state in self.files.items()
        )

    def digest(self) -> str:
        """sha256 over names and contents; it does not depend on where the files came from."""
        return digest_of({name: state.sha256 for name, state in self.files.items()})


def read(directory: Path) -> Manifest | None:
    """The directory's manifest; None where it is missing or damaged: files are then hashed
    again.
    """
    try:
        return Manifest.model_validate_json((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def write(directory: Path, manifest: Manifest) -> None:
    """Writes the directory's manifest, whole or not at all."""
    write_atomically(directory / MANIFEST, manifest.model_dump_json(indent=1))


def digest_of(files: dict[str, str]) -> str:
    """sha256 over file names and their sha256, sorted by name."""
    canonical: list[Any] = sorted(files.items())
    return hashlib.sha256(json.dumps(canonical, separators=(",", ":")).encode()).hexdigest()


def utc_now() -> str:
    """Now, UTC, ISO 8601 to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
