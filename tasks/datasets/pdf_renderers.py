"""Drives the processes that render PDF pages: starts them when needed, ends those that fail."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pixtrack.tasks.images import BadImage
from pixtrack.tasks.processes import stop

WORKER = (sys.executable, "-m", "pixtrack.tasks.datasets.pdf_worker")
MOST_RENDERERS = 4
PAGE_SECONDS = 60.0
"""Limit for one page; one of 100 megapixels takes about three seconds."""


class Renderer:
    """One rendering process. Not thread-safe."""

    def __init__(self) -> None:
        # A document is not trusted: the process gets none of the secrets in this environment.
        kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "HOME", "TMPDIR")
        self._process = subprocess.Popen(
            WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in kept if name in os.environ},
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the other
        )
        self._read = b""
        self._close = weakref.finalize(self, _end, self._process)

    def ask(self, command: list[Any]) -> dict[str, Any]:
        """Sends a command and returns the reply.

        Raises BadImage for a document or page that cannot be rendered, which includes a process
        that dies or takes too long, and OSError for a full disk.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._line()
        except BrokenPipeError:
            answer = None
        if answer is None:
            self.close()
            raise BadImage("the renderer ended at it (out of memory, or a fault of PDFium)")
        found: dict[str, Any] = json.loads(answer)
        if "errno" in found:
            raise OSError(found["errno"], found["error"])
        if "error" in found:
            raise BadImage(found["error"])
        return found

    def close(self) -> None:
        """Ends the process. May be called twice."""
        self._close()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._close.alive and self._process.poll() is None

    def _line(self) -> bytes | None:
        """The next line of output; None where the process ended. Raises BadImage after
        PAGE_SECONDS.
        """
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + PAGE_SECONDS
        while b"\n" not in self._read:
            ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                self.close()
                raise BadImage(f"takes longer than {PAGE_SECONDS:.0f} s to render")
            data = os.read(descriptor, 65536)
            if not data:
                return None
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
    stop(process, 1.0)


class Renderers:
    """A pool of one process a core, among which a document's pages are divided."""

    def __init__(self, count: int | None = None) -> None:
        self._count = count or min(MOST_RENDERERS, os.cpu_count() or 1)
        self._renderers: list[Renderer] = []

    def render(self, document: Path, dpi: int, most: int, folder: Path) -> None:
        """Renders every page of the document into folder/0001.png, ….

        Args:
            document: the PDF file
            dpi: the resolution
            most: a document of more pages is refused
            folder: where the pages go

        Raises:
            BadImage: the document cannot be rendered whole; the reason is its first bad page's
            OSError: the disk is full
        """
        count = self._open(0, document)
        if count == 0:
            raise BadImage("a PDF without pages")
        if count > most:
            raise BadImage(
                f"a PDF of {count:,} pages, more than {most:,}: split it, or raise source.most_pages"
            )
        pages = iter(range(count))
        lock = threading.Lock()
        problems: dict[int, BadImage | OSError] = {}

        def some(which: int) -> None:
            if which > 0:
                self._open(which, document)
            while True:
                with lock:
                    number = None if problems else next(pages, None)
                if number is None:
                    return
                try:
                    path = folder / f"{number + 1:04d}.png"
                    self._renderers[which].ask(["page", number, dpi, str(path)])
                except BadImage as error:
                    said = str(error)
                    named = said if said.startswith("page ") else f"page {number + 1}: {said}"
                    problems[number] = BadImage(named)
                    return
                except OSError as error:
                    problems[number] = error
                    return

        used = min(self._count, count)
        with ThreadPoolExecutor(used, thread_name_prefix="pages") as pool:
            for done in [pool.submit(some, which) for which in range(used)]:
                done.result()
        if problems:
            raise problems[min(problems)]

    def close(self) -> None:
        """Ends the processes; a later call starts new ones."""
        for renderer in self._renderers:
            renderer.close()
        self._renderers = []

    def _open(self, which: int, document: Path) -> int:
        with _GROWING:
            while len(self._renderers) <= which:
                self._renderers.append(Renderer())
            if not self._renderers[which].alive:
                self._renderers[which] = Renderer()
        count: int = self._renderers[which].ask(["open", str(document.absolute())])["count"]
        return count


_GROWING = threading.Lock()
