"""Files over HTTP: resumed where they broke off, hashed as they arrive, moved into place if whole.

huggingface_hub's own downloader deletes a partial file (since 2.0 its temporary names are unique to
a process), so a connection lost after 23 of 24 GB would start at zero; hence this one, used for
the hub and for ModelScope alike.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

import httpx

from pixtrack.configs.errors import UserError
from pixtrack.tasks.transfer.hashing import CHUNK_BYTES, Digests
from pixtrack.tasks.transfer.remote import Progress, RemoteFile, human

PARTIALS = ".pixtrack-partial"
ATTEMPTS = 8
"""Connections a file that brings no byte at all; any progress starts the count again."""
PARALLEL_FILES = 4
SPARE_BYTES = 512_000_000
"""Left free on the disk beside the model."""
TIMEOUT = httpx.Timeout(30.0, connect=10.0)


class Source(Protocol):
    """Where files come from: what `download_files` needs to know of it."""

    name: str

    def url(self, path: str) -> str:
        """Where a file's content is."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Sent to the source's own host only (a redirect to another host loses the token)."""
        ...

    def refusal(self, response: httpx.Response, path: str) -> UserError | None:
        """The explanation of an HTTP status that no retry mends; None where one may."""
        ...


class ContentMismatch(Exception):
    """A whole file arrived and is not the one that was listed."""


@dataclass
class Meter:
    """Counts bytes over all files and tells `progress`."""

    total: int
    progress: Progress | None
    done: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Counts bytes that are here (negative: thrown away)."""
        with self._lock:
            self.done += count
            if self.progress is not None:
                self.progress(self.done, self.total)


def require_space(directory: Path, files: Sequence[RemoteFile]) -> None:
    """Raises UserError where the disk cannot take what is still missing of the files."""
    missing = sum(
        f.size - (partial.stat().st_size if (partial := _partial(directory, f)).exists() else 0)
        for f in files
    )
    free = shutil.disk_usage(directory).free
    if missing + SPARE_BYTES > free:
        raise UserError(
            f"{directory}: {human(missing)} are still to be downloaded and {human(free)} are free; "
            f"free {human(missing + SPARE_BYTES - free)}, or set PIXTRACK_HOME to a larger disk"
        )


def download_files(
    source: Source,
    directory: Path,
    files: Sequence[RemoteFile],
    progress: Progress | None = None,
) -> dict[str, str]:
    """Downloads the files into the directory; returns path to sha256.

    What an interrupted call left is continued. Raises UserError for refusals, a source that
    cannot be reached, and content that is not what was listed.
    """
    if not files:
        return {}
    meter = Meter(sum(f.size for f in files), progress)
    stop = threading.Event()
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client:
        pool = ThreadPoolExecutor(PARALLEL_FILES, thread_name_prefix="download")
        try:
            # Large files first, so that no lone shard is left for the end.
            ordered = sorted(files, key=lambda f: -f.size)
            jobs = {
                f.path: pool.submit(_file, client, source, directory, f, meter, stop)
                for f in ordered
            }
            digests = {path: job.result() for path, job in jobs.items()}
            shutil.rmtree(directory / PARTIALS, ignore_errors=True)
            return digests
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _partial(directory: Path, file: RemoteFile) -> Path:
    """The name carries the digest: a partial file of another revision is never continued."""
    tag = (file.sha256 or file.git_sha1 or str(file.size))[:16]
    return directory / PARTIALS / f"{file.path}.{tag}"


def _file(
    client: httpx.Client,
    source: Source,
    directory: Path,
    file: RemoteFile,
    meter: Meter,
    stop: threading.Event,
) -> str:
    partial = _partial(directory, file)
    partial.parent.mkdir(parents=True, exist_ok=True)
    for attempt in (1, 2):
        sha256, git_sha1 = _receive(client, source, file, partial, meter, stop)
        try:
            _require_content(file, sha256, git_sha1)
        except ContentMismatch as error:
            partial.unlink()
            meter.add(-file.size)
            if attempt == 2:
                raise UserError(
                    f"{source.name}: {file.path}: {error}, twice; the source or a proxy on the way "
                    "delivers something else: try again later, or another mirror (HF_ENDPOINT)"
                ) from None
        else:
            target = directory / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(target)
            return sha256
    raise AssertionError


def _require_content(file: RemoteFile, sha256: str, git_sha1: str) -> None:
    if file.sha256 and file.sha256 != sha256:
        raise ContentMismatch(f"sha256 is {sha256[:12]}…, listed is {file.sha256[:12]}…")
    if not file.sha256 and file.git_sha1 and file.git_sha1 != git_sha1:
        raise ContentMismatch(f"git blob id is {git_sha1[:12]}…, listed is {file.git_sha1[:12]}…")


def _receive(
    client: httpx.Client,
    source: Source,
    file: RemoteFile,
    partial: Path,
    meter: Meter,
    stop: threading.Event,
) -> tuple[str, str]:
    """Fills the partial file up to its listed size; returns sha256 and git blob id of the content.

    A request that brought some bytes before it failed does not count against ATTEMPTS.
    """
    growing = _PartialFile(source, file, partial, meter, stop)
    failures = 0
    with partial.open("ab") as out:
        while growing.have < file.size:
            before = growing.have
            trouble, pause = growing.request(client, out)
            out.flush()
            if growing.have < file.size:
                failures = 0 if growing.have > before else failures + 1
                if failures >= ATTEMPTS:
                    raise UserError(
                        f"{source.name}: {file.path}: {trouble or 'the connection closes early'} "
                        f"({ATTEMPTS} times, at {human(growing.have)} of {human(file.size)} from "
                        f"{urlsplit(source.url(file.path)).netloc}); what is here is kept: run the "
                        "same command again to continue"
                    )
                stop.wait(max(min(pause, 60.0), min(0.2 * 2**failures, 10.0)))
    return growing.digests.sha256.hexdigest(), growing.digests.git.hexdigest()


class _PartialFile:
    """What has come of one file, and the digests over it."""

    def __init__(
        self, source: Source, file: RemoteFile, partial: Path, meter: Meter, stop: threading.Event
    ) -> None:
        self._source, self._file = source, file
        self._meter, self._stop = meter, stop
        self.digests = Digests(file.size)
        self.have = 0
        if partial.exists() and partial.stat().st_size > file.size:
            partial.unlink()
        if partial.exists():
            with partial.open("rb") as old:
                while chunk := old.read(CHUNK_BYTES):
                    self.digests.update(chunk)
                    self.have += len(chunk)
            meter.add(self.have)

    def request(self, client: httpx.Client, out: BinaryIO) -> tuple[str, float]:
        """Asks for the rest once; (what went wrong or "", seconds that the server asks to wait).

        Raises UserError where asking again cannot help.
        """
        if self._stop.is_set():
            raise UserError("download stopped")
        headers = {**self._source.headers(), "Accept-Encoding": "identity"}
        if self.have:
            headers["Range"] = f"bytes={self.have}-"
        url = self._source.url(self._file.path)
        try:
            with client.stream("GET", url, headers=headers) as response:
                if response.status_code in (200, 206):
                    self._take(response, out)
                    return "", 0.0
                response.read()
                refusal = self._source.refusal(response, self._file.path)
                if refusal is not None:
                    raise refusal
                after = response.headers.get("retry-after", "")
                pause = float(after) if after.isdigit() else 0.0
                return f"HTTP {response.status_code}", pause
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}".rstrip(": "), 0.0

    def _take(self, response: httpx.Response, out: BinaryIO) -> None:
        if self.have and response.status_code == 200:  # no ranges there: from the start
            self._meter.add(-self.have)
            self.have = 0
            out.truncate(0)
            self.digests = Digests(self._file.size)
        for chunk in response.iter_bytes():
            if self._stop.is_set():
                raise UserError("download stopped")
            if self.have + len(chunk) > self._file.size:
                raise UserError(
                    f"{self._source.name}: {self._file.path}: longer than the "
                    f"{self._file.size} bytes listed; try again, or another mirror"
                )
            out.write(chunk)
            self.digests.update(chunk)
            self.have += len(chunk)
            self._meter.add(len(chunk))
