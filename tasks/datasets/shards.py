"""Brings a repository's parquet files onto this disk one after the other and deletes those read.

While one file is read, the next is fetched, so that no more than two are on the disk. Files of an
interrupted process are used again: a whole one is recognised by its hash, and a partial download
goes on at its length.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from pixtrack.tasks.datasets.annotations import file_sha256
from pixtrack.tasks.datasets.hub_repository import DatasetRepo, cached_file
from pixtrack.tasks.datasets.rows import BytesCallback
from pixtrack.tasks.transfer import RemoteFile, human

logger = logging.getLogger(__name__)


class Shards(Protocol):
    """Files that are opened by number, in ascending order."""

    def open(self, number: int) -> Path:
        """The path of the file, fetched first where needed. Raises UserError where it cannot be."""
        ...

    def done(self, number: int) -> None:
        """Says that the file has been read and may be deleted."""
        ...

    def close(self) -> None:
        """Stops fetching."""
        ...


class LocalShards:
    """Files that are on this disk already; they are not deleted."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def open(self, number: int) -> Path:
        """The path of the file."""
        return self._files[number]

    def done(self, number: int) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class _Closed(Exception):
    pass


class HubShards:
    """Files of a hub repository."""

    def __init__(
        self,
        repo: DatasetRepo,
        files: Sequence[RemoteFile],
        folder: Path,
        on_bytes: BytesCallback | None = None,
    ) -> None:
        self._repo, self._files, self._folder = repo, files, folder
        self._on_bytes = on_bytes
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="shards")
        self._jobs: dict[int, Future[Path]] = {}
        self._closed = False

    def open(self, number: int) -> Path:
        """Waits for the file, starts fetching the next one, and returns the path."""
        self._start(number)
        path = self._jobs[number].result()
        self._start(number + 1)
        return path

    def done(self, number: int) -> None:
        """Deletes the file, unless it belongs to the hub client's cache."""
        job = self._jobs.pop(number, None)
        if job is not None and job.result().is_relative_to(self._folder):
            job.result().unlink(missing_ok=True)

    def close(self) -> None:
        """Stops fetching; files on the disk are left for the next process."""
        self._closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, number: int) -> None:
        if number < len(self._files) and number not in self._jobs:
            self._jobs[number] = self._pool.submit(self._fetch, self._files[number])

    def _fetch(self, file: RemoteFile) -> Path:
        from pixtrack.tasks.transfer.download import download_files, require_space

        cached = cached_file(self._repo.name, self._repo.commit, file)
        if cached is not None:
            return cached
        path = self._folder / file.path
        self._folder.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            if file.sha256 and file_sha256(path) == file.sha256:
                return path
            path.unlink()
        logger.info("fetching %s of %s (%s)", file.path, self._repo.name, human(file.size))
        require_space(self._folder, [file])

        def progress(done: int, total: int) -> None:
            if self._closed:  # an exception of its callback is the only way to stop a transfer
                raise _Closed
            if self._on_bytes is not None:
                self._on_bytes(file.path, done, total)

        download_files(self._repo, self._folder, [file], progress)
        return path
