"""The base of the kinds of source whose files are on this machine: digests over those files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download.identity import digest_of_files
from pixtrack.tasks.download.verification import verify_files
from pixtrack.tasks.transfer import Progress


class FilesOnDisk(ABC):
    """Base class; a subclass says which directory the files are in."""

    made_when_used = False
    absent = "not downloaded"

    def __init__(self, config: ModelConfig) -> None:
        self._config = config

    @abstractmethod
    def directory(self, home: Home) -> Path:
        """Where the files are, or will be."""

    def identity(self, home: Home, progress: Progress | None = None) -> dict[str, str]:
        """A digest over the files that the model's format needs. See `ModelFiles.identity`."""
        return digest_of_files(self.directory(home), self._config.format, home, progress)

    def verify(self, home: Home, progress: Progress | None = None) -> tuple[list[str], int]:
        """Checks every byte of the files. See `ModelFiles.verify`."""
        return verify_files(self.directory(home), self._config.format, progress)
