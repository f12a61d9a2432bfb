"""The process that renders pages of PDF documents.

PDFium is not thread-safe, and a hostile document may crash it, take all memory or never end: in a
process of its own, it harms nothing else.

    python -m pixtrack.tasks.datasets.pdf_worker

Each line of standard input is a command, a JSON list; each reply is one line of JSON.
["open", PATH] is answered by {"count": PAGES}; ["page", NUMBER, DPI, FILE] (pages count from 0) by
{"done": NUMBER} once the page is in the file as PNG. A command that fails is answered by
{"error": REASON}, with "errno" where the disk is full. The process ends when standard input closes.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image
from pypdfium2 import PdfDocument, PdfiumError

from pixtrack.tasks.images import MAX_PIXELS

POINTS_AN_INCH = 72
MOST_MEMORY = 2 << 30
"""Limit of the address space in bytes: twice what the largest accepted page takes."""


class Unusable(Exception):
    """The document or page cannot be rendered; the message says why."""


class Worker:
    """Holds the open document and carries out commands."""

    def __init__(self) -> None:
        self._document: PdfDocument | None = None

    def answer(self, command: list[Any]) -> dict[str, Any]:
        """The answer to one command."""
        try:
            if command[0] == "open":
                return {"count": self._open(Path(command[1]))}
            return {"done": self._page(*command[1:])}
        except Unusable as problem:
            return {"error": str(problem)}
        except OSError as error:
            return {"errno": error.errno, "error": error.strerror or str(error)}

    def _open(self, path: Path) -> int:
        if self._document is not None:
            self._document.close()
            self._document = None
        if path.stat().st_size == 0:
            raise Unusable("empty file (0 bytes)")
        try:
            self._document = PdfDocument(path)
            return len(self._document)
        except PdfiumError as error:
            # PDFium's own last error may be an earlier document's.
            if b"/Encrypt" in path.read_bytes():
                raise Unusable("an encrypted PDF: save it without a password") from None
            raise Unusable(
                f"not a PDF that can be opened, or one without pages ({error})"
            ) from None

    def _page(self, number: int, dpi: int, file: str) -> int:
        assert self._document is not None
        page = None
        try:
            page = self._document[number]
            scale = dpi / POINTS_AN_INCH
            width, height = page.get_size()
            if width * height * scale * scale > MAX_PIXELS:
                raise Unusable(
                    f"page {number + 1} is {width:.0f}×{height:.0f} points: too large at {dpi} dpi "
                    "(source.dpi)"
                )
            image: Image.Image = page.render(scale=scale).to_pil().convert("RGB")
        except (PdfiumError, ValueError, MemoryError) as error:
            reason = str(error) or type(error).__name__
            raise Unusable(f"page {number + 1} cannot be rendered ({reason})") from None
        finally:
            if page is not None:
                page.close()
        image.save(file, "PNG", compress_level=1)
        return number


def limit_memory() -> None:
    """Limits this process to MOST_MEMORY, where the operating system supports that."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = MOST_MEMORY if most == resource.RLIM_INFINITY else min(most, MOST_MEMORY)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def main() -> None:
    """Carries out the commands of standard input until it closes."""
    limit_memory()
    worker = Worker()
    # Whatever a library prints, C's too, is no answer.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            print(json.dumps(worker.answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
