"""Several inference children with the same model, each on its own cards, used like a single one.

With one replica on each of several cards, a model answers as many times as fast. Every replica has
a process, an engine and a share of the run's images (`pixtrack.tasks.runs.parts`); their answers,
counts and failures are combined into those of one run.
"""

from __future__ import annotations

import contextlib
import datetime
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.host.dealing import split_job
from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.runs.journal import read_answers
from pixtrack.tasks.runs.parts import merge_parts
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job
from pixtrack.tasks.runs.requests import read_requests

_COUNTS = (
    *("done", "total", "failed", "truncated", "retried", "images"),
    *("prompt_tokens", "cached_tokens", "output_tokens"),
)


@dataclass
class _SplitJob:
    """One job, and how far each of its parts has come."""

    job: Job
    already_answered: int
    latest: dict[int, Event] = field(default_factory=dict)
    """The last event of each replica."""

    def event(self, kind: Literal["progress", "job_done", "job_failed"], last: Event) -> Event:
        """An event with the sums of the parts' counts, and the times of the longest part."""
        events = self.latest.values()
        counts: dict[str, Any] = {key: sum(getattr(e, key) for e in events) for key in _COUNTS}
        counts["total"] += self.already_answered
        parts = {"parts": [e.details for e in events]} if kind == "job_done" else last.details
        return Event(
            event=kind,
            job_id=self.job.job_id,
            message=last.message,
            remedy=last.remedy,
            already_answered=self.already_answered,
            started=last.started,
            elapsed_seconds=max(e.elapsed_seconds for e in events),
            details=parts,
            **counts,
        )


class EngineReplicas:
    """Like `EngineProcess`, but with one child for each entry of `spec.replicas`."""

    def __init__(self, spec: EngineSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self._processes = [
            EngineProcess(spec, _log_of(log, number), cards=cards)
            for number, cards in enumerate(spec.replicas)
        ]
        self._jobs: dict[str, _SplitJob] = {}
        self._ready: dict[int, Event] = {}
        self._events: queue.SimpleQueue[tuple[int, Event | None]] = queue.SimpleQueue()
        self._no_more = self._closed = False

    def start(self) -> None:
        """Starts every child; returns at once. Raises UserError where the interpreter is
        missing.
        """
        for process in self._processes:
            process.start()

    def submit(self, job: Job) -> None:
        """Divides the job's unanswered questions among the children."""
        journal = Path(job.journal_path)
        merge_parts(journal, job.fingerprint)
        final = {index for index, answer in read_answers(journal).items() if answer.final}
        requests = read_requests(Path(job.requests_path))
        unanswered = [request for request in requests if request.index not in final]
        self._jobs[job.job_id] = _SplitJob(job, len(requests) - len(unanswered))
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        parts = split_job(job, unanswered, len(self._processes), now)
        for process, part in zip(self._processes, parts, strict=True):
            process.submit(part)

    def no_more_jobs(self) -> None:
        """Says that no more jobs come: each child ends after its last part."""
        self._no_more = True
        for process in self._processes:
            process.no_more_jobs()

    def events(self) -> Iterator[Event]:
        """The children's events, combined: `ready` when all are ready, `job_done` when all parts
        are.

        Ends with `closed` when all have closed, or with the first `engine_failed`.
        """
        for number in range(len(self._processes)):
            threading.Thread(target=self._relay, args=(number,), daemon=True).start()
        running = len(self._processes)
        while running:
            number, event = self._events.get()
            if event is None:
                if not self._may_end(number):
                    yield self._failed(number, "its process ended without a word")
                    return
                running -= 1
                continue
            merged = self._merged(number, event)
            if merged is not None:
                yield merged
                if merged.event == "engine_failed":
                    return
        yield Event(event="closed")

    def close(self) -> None:
        """Ends all children at the same time, and merges their answers into the runs' journals."""
        if self._closed:
            return
        self._closed = True
        with ThreadPoolExecutor(len(self._processes)) as pool:
            for closing in [pool.submit(process.close) for process in self._processes]:
                closing.result()
        for split in self._jobs.values():
            _try_to_fold(split.job)

    def __enter__(self) -> EngineReplicas:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _relay(self, number: int) -> None:
        try:
            for event in self._processes[number].events():
                self._events.put((number, event))
        finally:
            self._events.put((number, None))

    def _may_end(self, number: int) -> bool:
        """Whether no more jobs come and the child has ended all of its parts."""
        ended = ("job_done", "job_failed")
        parts = [split.latest.get(number) for split in self._jobs.values()]
        return self._no_more and all(part is not None and part.event in ended for part in parts)

    def _failed(self, number: int, why: str, event: Event | None = None) -> Event:
        event = event or Event(
            event="engine_failed",
            details={"reason": "engine_died", "log": str(self._processes[number].log)},
        )
        where = f"replica {number + 1} of {len(self._processes)}: {why}"
        return event.model_copy(update={"message": where})

    def _merged(self, number: int, event: Event) -> Event | None:
        """The combined event that a child's event leads to; None where it leads to none (yet)."""
        if event.event == "engine_failed":
            return self._failed(number, event.message, event)
        if event.event == "starting":
            return event if number == 0 else None
        if event.event == "closed":
            return None
        if event.event == "ready":
            self._ready[number] = event
            if len(self._ready) < len(self._processes):
                return None
            details = {**self._ready[0].details, "replicas": len(self._processes)}
            seconds = max(ready.elapsed_seconds for ready in self._ready.values())
            return event.model_copy(update={"details": details, "elapsed_seconds": seconds})
        return self._of_job(number, event)

    def _of_job(self, number: int, event: Event) -> Event | None:
        """The combined event of a job: progress until every part has ended, then its end.

        A part that failed does not stop the others.
        """
        split = self._jobs[event.job_id]
        split.latest[number] = event
        if len(split.latest) < len(self._processes):
            return None  # the total is not yet known
        parts = split.latest.values()
        if any(part.event == "progress" for part in parts):
            return split.event("progress", event)
        failed = next((part for part in parts if part.event == "job_failed"), None)
        if failed:
            _try_to_fold(split.job)
            return split.event("job_failed", failed)
        merge_parts(Path(split.job.journal_path), split.job.fingerprint)
        return split.event("job_done", event)


def _try_to_fold(job: Job) -> None:
    """Merges the parts after a failure, which is what is reported; an error here is ignored.

    The next command merges them, or reports why that is impossible.
    """
    with contextlib.suppress(UserError):
        merge_parts(Path(job.journal_path), job.fingerprint)


def _log_of(log: Path, number: int) -> Path:
    """The log of a child; the first one's has the same name as that of a single child."""
    return log if number == 0 else log.with_name(f"{log.stem}-{number}{log.suffix}")
