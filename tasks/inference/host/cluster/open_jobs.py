"""The runs that a driver has taken up: their journals, which it alone writes, and their counts."""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixtrack.tasks.inference.worker.progress import JobProgress
from pixtrack.tasks.records import Answer, Request
from pixtrack.tasks.runs.journal import Journal
from pixtrack.tasks.runs.protocol import Event, Job
from pixtrack.tasks.runs.requests import read_requests


class Outbox:
    """Events for whoever asked; it may look at them whenever it likes."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    @property
    def lagging(self) -> bool:
        """Whether events wait to be looked at."""
        return not self._queue.empty()

    def write(self, event: Event) -> None:
        """Adds an event."""
        self._queue.put(event)

    def end(self) -> None:
        """No more events come."""
        self._queue.put(None)

    def next(self) -> Event | None:
        """The next event, when it comes; None after the last."""
        return self._queue.get()


@dataclass
class OpenJob:
    """A job whose journal is open."""

    number: int
    job: Job
    journal: Journal
    progress: JobProgress
    unanswered: list[Request]
    by_replica: Counter[int]
    """Answers of each replica."""

    @classmethod
    def take_up(cls, number: int, job: Job, outbox: Outbox, details: Details) -> OpenJob:
        """Opens the journal, and tells how much there is to do.

        Raises UserError where the journal belongs to another run, is damaged, or is being written
        by another process.
        """
        requests = read_requests(Path(job.requests_path))
        journal = Journal(Path(job.journal_path), job.fingerprint)
        journal.__enter__()
        final = {index for index, answer in journal.answers().items() if answer.final}
        unanswered = [request for request in requests if request.index not in final]
        by_replica: Counter[int] = Counter()
        progress = JobProgress(job.job_id, _WithDetails(outbox, lambda: details(by_replica)))
        progress.begin(unanswered, already_answered=len(requests) - len(unanswered))
        return cls(number, job, journal, progress, unanswered, by_replica)

    def record(self, answer: Answer, replica: int) -> None:
        """Writes a replica's answer; raises UserError where the disk does not take it."""
        self.journal.append(answer, self.progress.stamp())
        self.by_replica[replica] += 1
        self.progress.note(answer)

    def close(self) -> None:
        """Closes the journal. May be called twice."""
        self.journal.close()


Details = Callable[[Mapping[int, int]], dict[str, Any]]
"""What a progress event says besides its counts, made from the answers of each replica."""


@dataclass
class _WithDetails:
    """Adds details to the events of a job's progress."""

    outbox: Outbox
    details: Callable[[], dict[str, Any]]

    @property
    def lagging(self) -> bool:
        return self.outbox.lagging

    def write(self, event: Event) -> None:
        self.outbox.write(event.model_copy(update={"details": self.details()}))
