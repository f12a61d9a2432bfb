"""The interface of a kind of dataset source."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets.rows import BytesCallback, Source


class SourceKind(Protocol):
    """One kind of source. Its methods take a dataset whose source is of that kind."""

    def open(
        self, config: DatasetConfig, home: Home, on_bytes: BytesCallback | None = None
    ) -> Source:
        """Opens the source, pinned and ready to be read.

        Args:
            config: the dataset
            home: the data home
            on_bytes: called while files are fetched

        Raises:
            UserError: the source cannot be reached or read, or is not what is pinned
        """
        ...

    def stamp(self, config: DatasetConfig, described: dict[str, Any]) -> str | None:
        """A value, cheap to compute, that changes when the source's local files do.

        None where they cannot change. `described` is the `Source.identity` at the time when the
        dataset was prepared.
        """
        ...

    def settings(self, config: DatasetConfig) -> dict[str, Any]:
        """The part of the source's configuration that decides the samples."""
        ...

    def address(self, config: DatasetConfig) -> str:
        """Where the dataset comes from, in a few words."""
        ...

    def pinned_annotations(self, config: DatasetConfig) -> str:
        """The sha256 that is pinned for its annotation file; "" where none is."""
        ...

    def keep_annotations(self, config: DatasetConfig, home: Home, file: Path) -> None:
        """Takes in a user's copy of the dataset's annotation file, in place of fetching it.

        Raises UserError for another file, and where no annotation file is fetched.
        """
        ...

    def annotation_columns(self, config: DatasetConfig) -> dict[str, str]:
        """The configured columns, if they are those of its annotation file; else {}."""
        ...


def nothing_to_keep(config: DatasetConfig) -> UserError:
    """The error for `--annotations` with a dataset whose source fetches no annotation file."""
    return UserError(f"dataset {config.name} is not from the hub: leave --annotations out")
