"""Reports the counts of a job a few times a second, without holding up the work."""

from __future__ import annotations

import contextlib
import datetime
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Literal, Protocol

from pixtrack.tasks.records import Answer, Request
from pixtrack.tasks.runs.protocol import Event

PROGRESS_SECONDS = 0.5


class EventWriter:
    """Writes events to a pipe in a thread of its own, so that a slow reader holds nothing up.

    When the reader has ended, events are dropped: the answers are in the journal.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def lagging(self) -> bool:
        """Whether events wait to be written."""
        return not self._queue.empty()

    def write(self, event: Event) -> None:
        """Queues the event; returns at once."""
        self._queue.put(event.model_dump_json(exclude_defaults=True).encode() + b"\n")

    def close(self, timeout: float = 2.0) -> None:
        """Waits until the queued events are written, but at most `timeout` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while (line := self._queue.get()) is not None:
                self._file.write(line)
            self._file.close()


class Listener(Protocol):
    """What takes events."""

    @property
    def lagging(self) -> bool:
        """Whether events wait to be written."""
        ...

    def write(self, event: Event) -> None:
        """Takes an event; returns at once."""
        ...


class JobProgress:
    """The counts of one job since the child began it."""

    def __init__(
        self, job_id: str, events: Listener, retried: Callable[[], int] = lambda: 0
    ) -> None:
        """`retried` counts what the engine has asked again, since its start."""
        self.job_id = job_id
        self._retried = retried
        self._retried_before = retried()
        self._images_of: dict[int, tuple[str, ...]] = {}
        self._images: set[str] = set()
        self._events = events
        self._started = self._told = time.monotonic()
        now = datetime.datetime.now(datetime.timezone.utc)
        self.started = now.isoformat(timespec="milliseconds")
        """When the job began, in UTC, ISO 8601; it identifies this invocation of the run."""
        self._counts = dict.fromkeys(
            ("done", "failed", "truncated", "prompt_tokens", "cached_tokens", "output_tokens"), 0
        )
        self._total = 0
        self._already_answered = 0

    def begin(self, unanswered: Sequence[Request], already_answered: int) -> None:
        """Sets the number of requests to ask, and of those that have answers already."""
        self._total = len(unanswered) + already_answered
        self._already_answered = already_answered
        self._images_of = {
            request.index: tuple(image.sha256 for image in request.images) for request in unanswered
        }
        self._events.write(self.event("progress"))

    def stamp(self) -> dict[str, Any]:
        """The beginning of this invocation and the seconds since then, for an answer's journal
        line.
        """
        elapsed = round(time.monotonic() - self._started, 3)
        return {"started": self.started, "elapsed": elapsed}

    def note(self, answer: Answer) -> None:
        """Counts an answer, and reports the counts if the last report is long enough ago."""
        counts = self._counts
        counts["done"] += 1
        self._images.update(self._images_of.get(answer.index, ()))
        counts["failed"] += answer.failed
        counts["truncated"] += answer.finish_reason == "length"
        counts["prompt_tokens"] += answer.prompt_tokens
        counts["cached_tokens"] += answer.cached_tokens
        counts["output_tokens"] += answer.output_tokens
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS and not self._events.lagging:
            self._told = now
            self._events.write(self.event("progress"))

    def event(
        self,
        kind: Literal["progress", "job_done", "job_failed"],
        message: str = "",
        details: dict[str, Any] | None = None,
    ) -> Event:
        """An event with the present counts."""
        return Event(
            event=kind,
            job_id=self.job_id,
            message=message,
            total=self._total,
            retried=self._retried() - self._retried_before,
            already_answered=self._already_answered,
            images=len(self._images),
            started=self.started,
            elapsed_seconds=time.monotonic() - self._started,
            details=details or {},
            **self._counts,
        )
