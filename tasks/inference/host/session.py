"""One engine for all runs of a model: started early, given runs as they open, closed at the end.

Used by the flows. An engine's start (imports, weights, warm-up) takes longer than everything else,
so `start` may be called before the dataset is prepared; `ask` waits for the engine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.host.engine_host import EngineHost, one_child
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job

logger = logging.getLogger(__name__)


class HasJob(Protocol):
    """Something that can be asked: an opened run, or free questions."""

    @property
    def job(self) -> Job:
        """The job for the inference child; the same every time."""
        ...


class EngineFailed(UserError):
    """The engine did not start, or died; the message has the reason in one line, and the log."""

    exit_code = 3


class EngineSession:
    """Owns the inference child, or a cluster's driver; a context manager."""

    def __init__(
        self,
        spec: EngineSpec,
        log: Path,
        smaller: Callable[[], EngineSpec | None] = lambda: None,
        make_host: Callable[[EngineSpec, Path], EngineHost] | None = None,
    ) -> None:
        """`smaller` makes the spec of a second try, `make_host` what runs it (None: one child)."""
        self.spec = spec
        self.log = log
        self._make_host = make_host or one_child
        self._smaller = smaller
        self._same: EngineSpec | None = spec
        self._host: EngineHost | None = None
        self._events: Iterator[Event] | None = None
        self._submitted: list[HasJob] = []
        self._ready: Event | None = None
        self._closing: threading.Thread | None = None
        self.started_at: float | None = None
        self.ready_seconds: float | None = None

    def start(self) -> None:
        """Starts the child unless it runs; returns at once."""
        if self._host is None:
            self.close()
            self._ready = None
            self._submitted = []  # a new child has no jobs
            self.started_at = time.monotonic()
            host = self._make_host(self.spec, self.log)
            try:
                host.start()
            except BaseException:
                host.close()  # some of several children may run
                raise
            self._host, self._events = host, host.events()

    @property
    def was_ready(self) -> bool:
        """Whether the engine that was started last has become ready."""
        return self._ready is not None

    def submit(self, run: HasJob) -> None:
        """Gives a run's questions to the engine, which answers runs in this order."""
        self.start()
        assert self._host is not None
        if all(known.job.job_id != run.job.job_id for known in self._submitted):
            self._submitted.append(run)
            self._host.submit(run.job)

    def ask(self, run: HasJob, on_event: Callable[[Event], None]) -> AskedRun:
        """Waits until every question of the run has an answer.

        Args:
            run: the run
            on_event: called with the run's events

        Raises:
            EngineFailed: with the reason; answers up to then are in the journal
        """
        self.submit(run)
        asked = AskedRun()
        while True:
            event = self._next_event()
            if event.event == "ready":
                if self._ready is None:
                    self.ready_seconds = time.monotonic() - (self.started_at or 0.0)
                self._ready = event  # of several replicas, each tells of all
            if event.event == "engine_failed":
                if self._start_again(event):
                    continue
                raise EngineFailed(_explain(event, Path(event.details.get("log", self.log))))
            if event.job_id not in ("", run.job.job_id):
                continue
            on_event(event)
            if event.event == "job_failed" and event.details.get("reason") == "engine_died":
                continue  # the engine's last event follows, with the reason from its log
            if event.event == "job_failed":
                raise EngineFailed(_explain(event, self.log))
            if event.event == "job_done":
                asked.asked, asked.seconds = event.done, event.elapsed_seconds
                asked.started = event.started
                asked.asked_twice = int(event.details.get("asked_twice") or 0)
                asked.replicas = list(event.details.get("replicas") or ())
                asked.engine = dict(self._ready.details) if self._ready else {}
                self._submitted = [known for known in self._submitted if known is not run]
                return asked

    def _next_event(self) -> Event:
        assert self._events is not None
        try:
            return next(self._events)
        except StopIteration:
            raise EngineFailed(
                f"the engine's process ended without a word: see {self.log}"
            ) from None

    def _start_again(self, event: Event) -> bool:
        """Starts the engine a second time where that may help; returns whether it did.

        It helps after memory ran out at the start, with a smaller memory plan, and where another
        process on the card disturbed vLLM's measurement, with the same plan.
        """
        reason = event.details.get("reason")
        if self._ready is not None or reason not in ("out_of_memory", "card_shared"):
            return False
        self.close()  # first, because the memory that it holds would count as others'
        if reason == "card_shared":
            logger.warning("another process upset the measuring of the card: trying once more")
        spec = self._smaller() if reason == "out_of_memory" else self._same
        if spec is None:
            return False
        self._smaller, self._same = lambda: None, None
        waiting, self._submitted = self._submitted, []
        self.spec = spec
        for run in waiting:
            self.submit(run)
        return True

    def close_beside(self) -> None:
        """Begins to close the engine in the background; `close` waits for it.

        An engine takes seconds to release its memory, in which the caller can score and log.
        """
        host, self._host, self._events = self._host, None, None
        if host is not None:
            self._closing = threading.Thread(target=host.close, name="engine closes")
            self._closing.start()

    def close(self) -> None:
        """Ends the child and everything it started; may be called twice."""
        closing, self._closing = self._closing, None
        if closing is not None:
            closing.join()
        if self._host is not None:
            self._host.close()
            self._host = None
            self._events = None

    def __enter__(self) -> EngineSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _explain(event: Event, log: Path) -> str:
    remedy = f"; {event.remedy}" if event.remedy else ""
    return f"{event.message or event.event}{remedy} (log: {log})"
