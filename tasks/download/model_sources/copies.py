"""A copy of the files that somebody else made: checked for completeness, never changed."""

from __future__ import annotations

from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download.completeness import problems, require_complete
from pixtrack.tasks.download.model_sources.base import Availability, Fetching
from pixtrack.tasks.download.model_sources.on_disk import FilesOnDisk


class CopiedFiles(FilesOnDisk):
    """A directory that holds a model's files; `named_by` says in messages where its path was
    given.
    """

    needs_network = False
    repair = "copy the files again"
    absent = "not complete"

    def __init__(self, config: ModelConfig, directory: Path, named_by: str) -> None:
        super().__init__(config)
        self.address = str(directory)
        self._directory = directory
        self._named_by = named_by

    def directory(self, home: Home) -> Path:  # noqa: ARG002
        """The directory, whatever the data home."""
        return self._directory

    def here(self, home: Home) -> Path | None:  # noqa: ARG002
        """The directory if it is complete."""
        return None if problems(self._directory, self._config.format) else self._directory

    def fetch(self, home: Home, how: Fetching) -> Path:  # noqa: ARG002
        """The directory. Raises UserError where files are missing, truncated or of another
        format.
        """
        remedy = f"Complete the copy, or correct {self._named_by} (and its format)"
        require_complete(self._directory, self._config.format, remedy)
        return self._directory

    def availability(self, home: Home) -> Availability:  # noqa: ARG002
        """Complete, or what is missing."""
        found = problems(self._directory, self._config.format)
        if found:
            remedy = "complete the copy, or correct its path and format"
            return Availability("failed", "; ".join(found), remedy)
        return Availability("ok", f"{self._config.title}: files complete in {self._directory}")
