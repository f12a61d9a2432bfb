"""Several inference children with the same model, each on cards of its own, used like one.

A model that fits on one card of several answers that many times as fast: every replica has a
process, an engine and a share of the run's images (pixtrack.tasks.runs.parts). Peers of this program
start one process a card as well; here their answers, counts and failures come together as one
run's.
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
    *("done", "total", "failed", "truncated", "images"),
    *("prompt_tokens", "cached_tokens", "output_tokens"),
)


@dataclass
class _SplitJob:
    """One job and how far its parts are."""

    job: Job
    already_answered: int
    latest: dict[int, Event] = field(default_factory=dict)
    """The last event of each replica."""

    def event(self, kind: Literal["progress", "job_done", "job_failed"], last: Event) -> Event:
        """The parts' counts together; times are the longest part's."""
        told = self.latest.values()
        counts: dict[str, Any] = {key: sum(getattr(e, key) for e in told) for key in _COUNTS}
        counts["total"] += self.already_answered
        parts = {"parts": [e.details for e in told]} if kind == "job_done" else last.details
        return Event(
            event=kind,
            job_id=self.job.job_id,
            message=last.message,
            remedy=last.remedy,
            already_answered=self.already_answered,
            started=last.started,
            elapsed_seconds=max(e.elapsed_seconds for e in told),
            details=parts,
            **counts,
        )


class EngineReplicas:
    """As `EngineProcess`, with one child for each entry of `spec.replicas`; a context manager."""

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
        """Starts every child; returns at once. Raises UserError where the interpreter is missing."""
        for process in self._processes:
            process.start()

    def submit(self, job: Job) -> None:
        """Deals the job's unanswered questions out to the children."""
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
        """Lets the children end when their last part is done."""
        self._no_more = True
        for process in self._processes:
            process.no_more_jobs()

    def events(self) -> Iterator[Event]:
        """What the children report, as one: ready when all are, done when all parts are.

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
        """Ends every child, side by side, and puts what they have answered into the runs' journals."""
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
        """Whether the child was told that no more comes, and has ended every part that it got."""
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
        """The event as the whole has it; None where it is not worth one, or not yet."""
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
        """Progress, until every part has ended; one that failed does not stop the others."""
        split = self._jobs[event.job_id]
        split.latest[number] = event
        if len(split.latest) < len(self._processes):
            return None  # the total is not known yet
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
    """After a failure, which is what the user is told; the next command does it, or says why not."""
    with contextlib.suppress(UserError):
        merge_parts(Path(job.journal_path), job.fingerprint)


def _log_of(log: Path, number: int) -> Path:
    """The first child's log has the name that one child's would have."""
    return log if number == 0 else log.with_name(f"{log.stem}-{number}{log.suffix}")
