"""What sources deliver: rows before their images are checked and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pixtrack.tasks.records import Sample, Turn

RawImage = bytes | Path
"""An image file's bytes as they came, or its path."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """One question of a source. `error` says why the row is bad; such a row is kept, not asked."""

    index: int
    question_id: str
    question: str
    answers: tuple[str, ...]
    images: tuple[RawImage, ...] = ()
    """Each image file's bytes as they came, or its path, in order."""
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
    """What makes questions dependent; "": the images."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows, small enough to hold in memory with their images, and where to go on after them."""

    rows: tuple[RawRow, ...]
    cursor: dict[str, Any]
    """Handed back to the source by the next process, if this one is interrupted. JSON."""
    notes: dict[str, int] = field(default_factory=dict)
    """Counts to add up over all batches and to record: rows left out, golds that differ, …"""


BytesCallback = Callable[[str, int, int], None]
"""Called with the name of a file that is being fetched, its bytes here and its bytes in all."""


class Source(Protocol):
    """Where rows come from. Opened once per preparation; everything it says is pinned by then."""

    identity: dict[str, Any]
    """Where the rows come from, for the manifest: kind, repository, full revision, files, … JSON.
    A preparation that was interrupted goes on only where this is unchanged."""
    total: int
    """Rows expected; 0 where that is not known."""

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        """All rows in the order of their index, from `cursor` on (None: from the beginning)."""
        ...

    def finish(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], dict[str, int]]:
        """The samples as they are to be kept (reindexed, say), and counts to record."""
        ...

    def close(self) -> None:
        """Frees files and threads. May be called twice."""
        ...
