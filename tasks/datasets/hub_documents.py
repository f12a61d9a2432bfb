"""Turns the PDF documents of a hub repository into the page images of the rows that name them.

Documents are fetched in the order in which the rows need them, the next one while one is rendered,
and are deleted once their pages exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from pixtrack.tasks.datasets.pdf_pages import PdfPages
from pixtrack.tasks.datasets.shards import Shards
from pixtrack.tasks.images import BadImage

F = TypeVar("F")


class HubDocuments(Generic[F]):
    """The documents by file name. `F` is the type of a file: a listed one of the hub, or a path."""

    def __init__(
        self,
        files: Mapping[str, F],
        shards: Callable[[Sequence[F]], Shards],
        pages: PdfPages,
        missing: Callable[[str], Exception],
    ) -> None:
        """Remembers where documents come from; fetches nothing yet.

        Args:
            files: the documents by file name
            shards: makes what brings the given files onto this disk
            pages: renders them
            missing: makes the exception for a name that no file has
        """
        self._files, self._shards_of, self._renderer = files, shards, pages
        self._missing = missing
        self._pages: dict[str, list[Path] | str] = {}
        self._numbers: dict[str, int] = {}
        self._shards: Shards | None = None

    def expect(self, names: Sequence[object]) -> None:
        """Announces the documents that are needed next, in this order, and starts fetching them."""
        self.close()
        wanted = [name for name in dict.fromkeys(names) if isinstance(name, str)]
        wanted = [name for name in wanted if name in self._files and name not in self._pages]
        self._numbers = {name: number for number, name in enumerate(wanted)}
        self._shards = self._shards_of([self._files[name] for name in wanted])

    def pages_of(self, name: object) -> list[Path]:
        """The pages, in order, of a document that `expect` announced.

        Raises BadImage for a document that cannot be rendered, UserError where it cannot be
        fetched, and the exception of `missing` for a name that no file has.
        """
        if not isinstance(name, str) or not name:
            raise BadImage("no file name")
        if name not in self._files:
            raise self._missing(name)
        if name not in self._pages:
            assert self._shards is not None
            number = self._numbers[name]
            try:
                self._pages[name] = self._renderer.of(self._shards.open(number))
            except BadImage as error:
                self._pages[name] = str(error)
            self._shards.done(number)
        found = self._pages[name]
        if isinstance(found, str):
            raise BadImage(found)
        return found

    def close(self) -> None:
        """Stops fetching and rendering. May be called twice."""
        self._renderer.close()
        if self._shards is not None:
            self._shards.close()
            self._shards = None
