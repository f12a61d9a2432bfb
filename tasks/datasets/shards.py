"""Parquet files of a repository, one after the other on this disk: fetched ahead, removed behind.

While one file is read, the next is being fetched, so that no more than two are on the disk. What
an interrupted process left is taken up: a whole file by its hash, a part of one by its length.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from pixtrack.tasks.datasets.annotations import file_sha256
from pixtrack.tasks.datasets.hub import DatasetRepo, cached_file
from pixtrack.tasks.datasets.rows import BytesCallback
from pixtrack.tasks.transfer import RemoteFile, human

logger = logging.getLogger(__name__)


class Shards(Protocol):
    """Files by number."""

    def open(self, number: int) -> Path:
        """The file on this disk, fetched if need be. Raises UserError."""
        ...

    def done(self, number: int) -> None:
        """The file is read; it may go."""
        ...

    def close(self) -> None:
        """Stops fetching."""
        ...


class LocalShards:
    """Files that are on this disk already, and stay."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def open(self, number: int) -> Path:
        """The file."""
        return self._files[number]

    def done(self, number: int) -> None:
        """It stays."""

    def close(self) -> None:
        """Nothing is held."""


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
        """The file; the next one is being fetched from now on."""
        self._start(number)
        path = self._jobs[number].result()
        self._start(number + 1)
        return path

    def done(self, number: int) -> None:
        """Removes the file, unless it is the hub client's."""
        job = self._jobs.pop(number, None)
        if job is not None and job.result().is_relative_to(self._folder):
            job.result().unlink(missing_ok=True)

    def close(self) -> None:
        """Stops fetching; what is here stays for the next process."""
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
            if self._closed:  # the only way to stop a transfer: its callback
                raise _Closed
            if self._on_bytes is not None:
                self._on_bytes(file.path, done, total)

        download_files(self._repo, self._folder, [file], progress)
        return path
