"""PDF documents as images: each page rendered once, kept by the document's content and the resolution.

Pages lie in the data home under `pages/DIGEST-DPIdpi/0001.png`, the document's sha256 before the
resolution; a file `whole` beside them says that none is missing. pypdfium2 (Chromium's renderer) is
not thread-safe: one page is rendered at a time, while threads compress and write the ones before.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from pixtrack.tasks.images import MAX_PIXELS, BadImage

if TYPE_CHECKING:
    from PIL.Image import Image
    from pypdfium2 import PdfDocument, PdfPage

POINTS_AN_INCH = 72
WRITERS = 2
"""Threads that compress pages: as many pages wait in memory, at most."""
_WHOLE = "whole"


class PdfPages:
    """Renders documents into a folder. `most`: a document of more pages is refused."""

    def __init__(self, folder: Path, dpi: int, most: int) -> None:
        self._folder = folder
        self._dpi = dpi
        self._most = most
        self._known: dict[Path, list[Path] | str] = {}

    def of(self, document: Path) -> list[Path]:
        """The document's pages as PNG files, in order; rendered if they are not there yet.

        Raises BadImage, always with the same reason for a document, for one that is damaged,
        encrypted, empty or too long, and OSError for a disk that takes no more.
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
                self._render(document, folder)
                (folder / _WHOLE).touch()
        return sorted(folder.glob("*.png"))

    def _render(self, document: Path, folder: Path) -> None:
        pdf = _opened(document)
        try:
            count = len(pdf)
            if count == 0:
                raise BadImage("a PDF without pages")
            if count > self._most:
                raise BadImage(
                    f"a PDF of {count:,} pages, more than {self._most:,}: split it, or raise "
                    "source.most_pages"
                )
            writing: deque[Future[None]] = deque()
            with ThreadPoolExecutor(WRITERS, thread_name_prefix="pages") as pool:
                for number in range(count):
                    image = self._page(pdf, number)
                    if len(writing) >= WRITERS:
                        writing.popleft().result()
                    path = folder / f"{number + 1:04d}.png"
                    writing.append(pool.submit(image.save, path, compress_level=1))
                while writing:
                    writing.popleft().result()
        finally:
            pdf.close()

    def _page(self, pdf: PdfDocument, number: int) -> Image:
        from pypdfium2 import PdfiumError

        page: PdfPage | None = None
        try:
            page = pdf[number]
            scale = self._dpi / POINTS_AN_INCH
            width, height = page.get_size()
            if width * height * scale * scale > MAX_PIXELS:
                raise BadImage(
                    f"page {number + 1} is {width:.0f}×{height:.0f} points: too large at "
                    f"{self._dpi} dpi (source.dpi)"
                )
            image: Image = page.render(scale=scale).to_pil().convert("RGB")
            return image
        except (PdfiumError, ValueError, MemoryError) as error:
            raise BadImage(f"page {number + 1} cannot be rendered ({error})") from None
        finally:
            if page is not None:
                page.close()


def _opened(document: Path) -> PdfDocument:
    from pypdfium2 import PdfDocument, PdfiumError

    if document.stat().st_size == 0:
        raise BadImage("empty file (0 bytes)")
    try:
        return PdfDocument(document)
    except PdfiumError as error:
        # PDFium's own last error may be an earlier document's.
        if b"/Encrypt" in document.read_bytes():
            raise BadImage("an encrypted PDF: save it without a password") from None
        raise BadImage(f"not a PDF that can be opened, or one without pages ({error})") from None
