"""Renders PDF documents to page images, each document once for each resolution.

Pages are kept in the data home as `pages/DIGEST-DPIdpi/0001.png`, where DIGEST is the document's
sha256; a file `whole` beside them says that none is missing. Separate processes (`pdf_worker`)
render them with pypdfium2, Chromium's renderer.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from filelock import FileLock

from pixtrack.tasks.datasets.pdf_renderers import Renderers
from pixtrack.tasks.images import BadImage

_WHOLE = "whole"


class PdfPages:
    """Renders documents into a folder; a document of more than `most` pages is refused."""

    def __init__(self, folder: Path, dpi: int, most: int) -> None:
        self._folder = folder
        self._dpi = dpi
        self._most = most
        self._known: dict[Path, list[Path] | str] = {}
        self._renderers = Renderers()

    def of(self, document: Path) -> list[Path]:
        """The document's pages as PNG files, in order; rendered if they do not exist yet.

        Raises BadImage for a document that is damaged, encrypted, empty or too long, with the same
        reason every time, and OSError for a full disk.
        """
        if document not in self._known:
            try:
                self._known[document] = self._pages(document)
            except BadImage as error:
                self._known[document] = str(error)
        found = self._known[document]
        if isinstance(found, str):
            raise BadImage(found)
        return found

    def close(self) -> None:
        """Ends the rendering processes; a later document starts new ones."""
        self._renderers.close()

    def _pages(self, document: Path) -> list[Path]:
        try:
            with document.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BadImage(f"cannot be read: {error.strerror or error}") from None
        folder = self._folder / f"{digest}-{self._dpi}dpi"
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / f".{digest}-{self._dpi}dpi.lock"):
            if not (folder / _WHOLE).exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                try:
                    self._renderers.render(document, self._dpi, self._most, folder)
                except (BadImage, OSError):
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
                (folder / _WHOLE).touch()
        return sorted(folder.glob("*.png"))
