"""What differs between kinds of dataset source."""

from __future__ import annotations

from typing import Any, Protocol

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets.rows import BytesCallback, Source


class SourceKind(Protocol):
    """One kind of source, for a dataset's configuration of that kind."""

    def open(
        self, config: DatasetConfig, home: Home, on_bytes: BytesCallback | None = None
    ) -> Source:
        """The source, pinned and ready to be read. Raises UserError."""
        ...

    def stamp(self, config: DatasetConfig, described: dict[str, Any]) -> str | None:
        """A cheap stamp of the source's local files, to see that they changed; None: they cannot.

        `described` is the identity that the source had when it was prepared.
        """
        ...

    def settings(self, config: DatasetConfig) -> dict[str, Any]:
        """What of the configuration decides the samples."""
        ...

    def address(self, config: DatasetConfig) -> str:
        """Where the dataset comes from, in a few words."""
        ...

    def pinned_annotations(self, config: DatasetConfig) -> str:
        """The sha256 that is pinned for its annotation file; "" where none is."""
        ...

    def annotation_columns(self, config: DatasetConfig) -> dict[str, str]:
        """The configured columns, where they are those of its annotation file; else {}."""
        ...
