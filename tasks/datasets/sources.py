"""The kinds of source, by the `kind` of a dataset's configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import AnnotationDataset, DatasetConfig, HubDataset, SampleDataset
from pixtrack.tasks.datasets.rows import Batch, BytesCallback, RawRow, Source
from pixtrack.tasks.records import Sample

BATCH_ROWS = 32
BATCH_BYTES = 64 * 2**20


def open_source(config: DatasetConfig, home: Home, on_bytes: BytesCallback | None = None) -> Source:
    """The configured source, pinned and ready to be read. Raises UserError."""
    # Imported on use: the hub's client takes half a second that the others need not wait.
    source = config.source
    if isinstance(source, HubDataset):
        from pixtrack.tasks.datasets.hub_source import HubSource

        return HubSource(config, source, home, on_bytes)
    if isinstance(source, AnnotationDataset):
        from pixtrack.tasks.datasets.annotations import AnnotationSource

        return AnnotationSource(config, source)
    return SampleSource(source)


def input_stamp(config: DatasetConfig, described: dict[str, Any]) -> str | None:
    """A cheap stamp of the source's local files, to see that they changed; None: they cannot.

    `described` is the identity that the source had when it was prepared.
    """
    if isinstance(config.source, AnnotationDataset):
        from pixtrack.tasks.datasets.annotations import stamp

        return stamp(config.source, described)
    return None


class SampleSource:
    """The generated sample."""

    def __init__(self, source: SampleDataset) -> None:
        self._source = source
        self.identity: dict[str, Any] = source.model_dump(mode="json")
        self.total = 0

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        """All rows; the generator draws those before the cursor again, which costs little."""
        from pixtrack.tasks.datasets.sample import rows

        start = cursor["next"] if cursor else 0
        for batch in gather(rows(self._source.images, self._source.seed)):
            rest = tuple(row for row in batch if row.index >= start)
            if rest:
                yield Batch(rest, {"next": rest[-1].index + 1})

    def finish(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], dict[str, int]]:
        """The samples as they are."""
        return samples, {}

    def close(self) -> None:
        """Nothing is held."""


def gather(rows: Iterator[RawRow]) -> Iterator[tuple[RawRow, ...]]:
    """Rows in batches that fit in memory."""
    held: list[RawRow] = []
    size = 0
    for row in rows:
        held.append(row)
        size += len(row.image) if isinstance(row.image, bytes) else 0
        if len(held) == BATCH_ROWS or size >= BATCH_BYTES:
            yield tuple(held)
            held, size = [], 0
    if held:
        yield tuple(held)
