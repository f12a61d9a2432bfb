"""What all sources with files on this machine have in common: digests over those files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download.identity import digest_of_files
from pixtrack.tasks.download.verification import verify_files
from pixtrack.tasks.transfer import Progress


class FilesOnDisk(ABC):
    """Base of the sources with files: each says which directory they are in."""

    made_when_used = False
    absent = "not downloaded"

    def __init__(self, config: ModelConfig) -> None:
        self._config = config

    @abstractmethod
    def directory(self, home: Home) -> Path:
        """Where the files are, or will be."""

    def identity(self, home: Home, progress: Progress | None = None) -> dict[str, str]:
        """The digest over the files that the model's format needs."""
        return digest_of_files(self.directory(home), self._config.format, home, progress)

    def verify(self, home: Home, progress: Progress | None = None) -> tuple[list[str], int]:
        """What is wrong with the files, a line each, and how many were compared by sha256."""
        return verify_files(self.directory(home), self._config.format, progress)
