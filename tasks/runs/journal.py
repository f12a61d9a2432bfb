"""The journal: every answer on disk as it is produced, so that a killed run loses none.

answers.jsonl, written by the inference child while it asks and read by everybody else: a header
line with the run's fingerprint, then one JSON line an answer, appended in the order they came,
each with when its invocation began (`started`, UTC) and the seconds since then (`elapsed`).
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.tasks.locks import lock_descriptor
from pixtrack.tasks.records import Answer, answer_from_json, to_json

FORMAT = 1
_HEADER_START = b'{"journal"'
SYNC_SECONDS = 1.0
"""At most so many seconds of answers are lost when the machine fails, none when a process does."""


class Journal:
    """One run's journal, held by one writer at a time.

    Opening locks the file, repairs a last line that was torn off when a writer was killed, and
    reads what is there. Raises UserError where another process writes it, where it belongs to
    another fingerprint, and where a line in the middle is damaged.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self._answers: dict[int, Answer] = {}
        self._file: int | None = None
        self._unsynced = threading.Event()
        self._closing = threading.Event()
        self._syncer: threading.Thread | None = None
        self.repaired = False
        """Whether a torn last line was cut off when the journal was opened."""

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror})") from None
        try:
            self._lock(self._file)
            self._load(self._file)
        except BaseException:
            os.close(self._file)
            self._file = None
            raise
        self._syncer = threading.Thread(target=self._sync_now_and_then, daemon=True)
        self._syncer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Writes everything to the disk and releases the lock. May be called twice."""
        if self._file is None:
            return
        self._closing.set()
        self._unsynced.set()
        if self._syncer is not None:
            self._syncer.join()
        file, self._file = self._file, None
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def answers(self) -> dict[int, Answer]:
        """By sample index: the last final answer, or else the last failure that is not final."""
        return dict(self._answers)

    def append(self, answer: Answer, stamp: Mapping[str, Any] | None = None) -> None:
        """Writes one answer, whole, before it returns; `stamp` holds further keys of its line.

        Raises ValueError for an index that has a final answer already (the caller asked twice) and
        for a closed journal; UserError where the disk does not take the line.
        """
        if self._file is None:
            raise ValueError(f"{self.path}: the journal is closed")
        known = self._answers.get(answer.index)
        if known is not None and known.final:
            raise ValueError(f"{self.path}: sample {answer.index} has its answer already")
        _write(self._file, _line({**to_json(answer), **(stamp or {})}), self.path)
        self._answers[answer.index] = answer
        self._unsynced.set()

    def sync(self) -> None:
        """Writes everything to the disk before it returns."""
        if self._file is not None:
            os.fsync(self._file)

    def _lock(self, file: int) -> None:
        try:
            locked = lock_descriptor(file)
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be locked ({error.strerror}): keep PIXTRACK_HOME on a local disk"
            ) from None
        if not locked:
            raise UserError(
                f"{self.path}: another process is answering this run; wait for it or stop it"
            )

    def _load(self, file: int) -> None:
        data = self.path.read_bytes()
        whole = _whole_length(data)
        if whole == 0 and data.strip(b"\0") and data[:10] != _HEADER_START[: len(data)]:
            raise UserError(f"{self.path}:1: not a journal of answers: move the file away")
        if whole < len(data):
            os.ftruncate(file, whole)
            self.repaired = True
        if whole == 0:
            header = {"journal": FORMAT, "fingerprint": self.fingerprint}
            _write(file, _line(header), self.path)
            return
        fingerprint, self._answers = _parse(data[:whole], self.path)
        if fingerprint != self.fingerprint:
            raise UserError(
                f"{self.path}:1: these answers belong to another run (fingerprint "
                f"{fingerprint[:12]}, this run's is {self.fingerprint[:12]}): move the file away"
            )

    def _sync_now_and_then(self) -> None:
        """Writes to the disk every SYNC_SECONDS: fsync takes milliseconds, too long for each
        answer.
        """
        while not self._closing.is_set():
            self._unsynced.wait()
            self._unsynced.clear()
            if self._file is not None and not self._closing.is_set():
                os.fsync(self._file)
            self._closing.wait(SYNC_SECONDS)


def read_answers(path: Path) -> dict[int, Answer]:
    """The answers of a journal by sample index, without locking or changing it.

    Of several answers to one sample the last final one counts, or else the last. A torn last line
    is left out: it is either being written or was torn off by a kill. No file: no answers.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    return _parse(data[: _whole_length(data)], path)[1]


def read_fingerprint(path: Path) -> str | None:
    """The fingerprint that the journal belongs to; None where there is no journal yet."""
    try:
        with path.open("rb") as file:
            data = file.readline()
    except FileNotFoundError:
        return None
    return _parse(data, path)[0] if data.endswith(b"\n") else None


def whole_lines(path: Path) -> list[bytes]:
    """The journal's lines, header first, without a torn last one. No file: none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return data[: _whole_length(data)].splitlines()


def _line(data: dict[str, Any]) -> bytes:
    # ASCII, so that a line is cut neither by U+2028 in an answer nor in the middle of a character.
    return json.dumps(data, separators=(",", ":")).encode("ascii") + b"\n"


def _write(file: int, line: bytes, path: Path) -> None:
    """Appends the whole line or nothing: on a full disk the part that was written is removed."""
    start = os.fstat(file).st_size
    try:
        written = os.write(file, line)
        while written < len(line):
            written += os.write(file, line[written:])
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(file, start)
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def _whole_length(data: bytes) -> int:
    """Bytes up to where the last good line ends.

    A kill tears off the end of a line; a crash of the machine may leave a stretch of zeros or
    stale bytes at the end. Both are cut; what is damaged further up is not touched here.
    """
    end = len(data)
    while end:
        start = data.rfind(b"\n", 0, end - 1) + 1
        line = data[start:end]
        if line.endswith(b"\n") and _is_json(line):
            return end
        end = start
    return 0


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _parse(data: bytes, path: Path) -> tuple[str, dict[int, Answer]]:
    """Fingerprint and answers of a journal that consists of whole lines."""
    answers: dict[int, Answer] = {}
    if not data:
        return "", answers
    lines = data.split(b"\n")
    try:
        header = json.loads(lines[0])
        fingerprint, version = str(header["fingerprint"]), header["journal"]
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{path}:1: not a journal of answers (no header with a fingerprint): move it away"
        ) from None
    if version != FORMAT:
        raise UserError(
            f"{path}:1: journal format {version}, this pixtrack reads {FORMAT}: use the version that wrote it"
        )
    for number, line in enumerate(lines[1:-1], start=2):
        try:
            answer = answer_from_json(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}:{number}: damaged line ({error}): remove it, and its question is asked again"
            ) from None
        known = answers.get(answer.index)
        if known is None or answer.final or not known.final:
            answers[answer.index] = answer
    return fingerprint, answers
