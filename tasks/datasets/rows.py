"""The interface of a source, and the rows that it returns before their images are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pixtrack.tasks.records import Sample, Turn

RawImage = bytes | Path
"""The unchanged bytes of an image file, or its path."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """One question of a source. A row with an `error` is kept as a failed sample and not asked."""

    index: int
    question_id: str
    question: str
    answers: tuple[str, ...]
    images: tuple[RawImage, ...] = ()
    """The row's images, in order."""
    image_names: tuple[str, ...] = ()
    """What the source calls each image, for messages."""
    history: tuple[Turn, ...] = ()
    context: str = ""
    question_type: str = ""
    answer_type: str = ""
    flags: tuple[str, ...] = ()
    error: str = ""
    options: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    cluster: str = ""
    """Questions with the same value have dependent errors (a document's id); "": the images
    decide."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows, few enough to hold with their images in memory, and where to continue after
    them.
    """

    rows: tuple[RawRow, ...]
    cursor: dict[str, Any]
    """JSON-ready position after the rows. If the preparation is interrupted, the next process
    passes it to `Source.batches`."""
    notes: dict[str, int] = field(default_factory=dict)
    """Counts, which are summed over all batches and recorded: rows left out, golds that differ,
    …"""


BytesCallback = Callable[[str, int, int], None]
"""Called with the name of a file that is being fetched, its bytes so far and its size."""


class Source(Protocol):
    """Where rows come from. It is opened once per preparation and then does not change."""

    identity: dict[str, Any]
    """JSON-ready description for the manifest: kind, repository, full revision, files, ….
    An interrupted preparation is continued only where it is unchanged."""
    total: int
    """Rows expected; 0 where that is not known."""

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        """All rows in the order of their index, from `cursor` on (None: from the beginning)."""
        ...

    def finish(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], dict[str, int]]:
        """Called with all samples: returns those to keep (reindexed, say), and counts to record."""
        ...

    def close(self) -> None:
        """Frees files and threads. May be called twice."""
        ...
