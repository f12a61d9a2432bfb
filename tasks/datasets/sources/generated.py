"""The source kind `sample`: documents and charts drawn by code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, SampleDataset
from pixtrack.tasks.datasets.rows import Batch, BytesCallback, RawRow, Source
from pixtrack.tasks.datasets.sources.base import nothing_to_keep
from pixtrack.tasks.records import Sample

BATCH_ROWS = 32
BATCH_BYTES = 64 * 2**20


class GeneratedKind:
    """Images drawn by code, without files or network. See `SourceKind`."""

    def open(
        self,
        config: DatasetConfig,
        home: Home,  # noqa: ARG002
        on_bytes: BytesCallback | None = None,  # noqa: ARG002
    ) -> Source:
        """A source that draws the configured number of images."""
        assert config.source.kind == "sample"
        return SampleSource(config.source)

    def stamp(self, config: DatasetConfig, described: dict[str, Any]) -> str | None:  # noqa: ARG002
        """None: there are no files that could change."""
        return None

    def settings(self, config: DatasetConfig) -> dict[str, Any]:
        """Number of images, seed, and the generator's version."""
        from pixtrack.tasks.datasets.sample import GENERATOR_VERSION

        return {**config.source.model_dump(mode="json"), "generator_version": GENERATOR_VERSION}

    def address(self, config: DatasetConfig) -> str:  # noqa: ARG002
        """The words for it in the list of datasets."""
        return "sample: drawn by code"

    def pinned_annotations(self, config: DatasetConfig) -> str:  # noqa: ARG002
        """Always "": there is no annotation file."""
        return ""

    def keep_annotations(self, config: DatasetConfig, home: Home, file: Path) -> None:  # noqa: ARG002
        """Always raises UserError: none is fetched."""
        raise nothing_to_keep(config)

    def annotation_columns(self, config: DatasetConfig) -> dict[str, str]:  # noqa: ARG002
        """Always {}: there is no annotation file."""
        return {}


class SampleSource:
    """Rows of the generated sample. See `rows.Source`."""

    def __init__(self, source: SampleDataset) -> None:
        self._source = source
        self.identity: dict[str, Any] = source.model_dump(mode="json")
        self.total = 0

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        """All rows from the cursor on; those before it are drawn again and dropped, which is
        cheap.
        """
        from pixtrack.tasks.datasets.sample import rows

        start = cursor["next"] if cursor else 0
        for batch in gather(rows(self._source.images, self._source.seed)):
            rest = tuple(row for row in batch if row.index >= start)
            if rest:
                yield Batch(rest, {"next": rest[-1].index + 1})

    def finish(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], dict[str, int]]:
        """The samples unchanged, and no counts."""
        return samples, {}

    def close(self) -> None:
        """Does nothing."""


def gather(rows: Iterator[RawRow]) -> Iterator[tuple[RawRow, ...]]:
    """Groups rows into batches whose images fit in memory."""
    held: list[RawRow] = []
    size = 0
    for row in rows:
        held.append(row)
        size += sum(len(image) for image in row.images if isinstance(image, bytes))
        if len(held) == BATCH_ROWS or size >= BATCH_BYTES:
            yield tuple(held)
            held, size = [], 0
    if held:
        yield tuple(held)
