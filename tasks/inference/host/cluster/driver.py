"""The driver: hands a run's image groups to its replicas, and writes what they answer.

It is the one writer of the run's journal. A replica that dies gives its groups back, is started
again if there is room for it, and the others go on meanwhile; the run fails when none is left.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.host.cluster.crew import Crew
from pixtrack.tasks.inference.host.cluster.fleet import Fleet, Heard
from pixtrack.tasks.inference.host.cluster.open_jobs import OpenJob, Outbox
from pixtrack.tasks.inference.host.cluster.slots import MOST_FAILURES, Slot
from pixtrack.tasks.inference.host.cluster.work import PER_JOB, Group, Work
from pixtrack.tasks.records import Answer, request_to_json
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job, Order

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
"""Between two looks at what is due, where nothing is heard."""
MOST_AT_ONCE = 2000
"""Pieces of news between two rounds of handing out."""

_ANSWER_FIELDS = frozenset(field.name for field in fields(Answer))


class EngineCluster:
    """As `EngineProcess`, with several engines behind it; a context manager.

    Everything is done by a thread of its own, so that the replicas never wait for whoever reads the
    events.
    """

    def __init__(self, spec: EngineSpec, fleet: Fleet, replicas: int) -> None:
        self.spec = spec
        self._fleet = fleet
        self._work = Work()
        self._crew = Crew(fleet, self._work, replicas, self._relay)
        self._pending: deque[Job] = deque()
        self._jobs: dict[int, OpenJob] = {}
        self._outbox = Outbox()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="driver", daemon=True)
        self._images = ThreadPoolExecutor(4, thread_name_prefix="images to nodes")
        self._job_numbers = 0
        self._closing = self._ended = False
        self._ready: Event | None = None
        self._started = time.monotonic()

    @property
    def slots(self) -> list[Slot]:
        """The replicas, by their number."""
        return self._crew.slots

    def start(self) -> None:
        """Begins to place and start the replicas; returns at once."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hands over the questions of one more run; returns at once."""
        self._inbox.put(partial(self._pending.append, job))

    def events(self) -> Iterator[Event]:
        """What happens, as it comes: `ready` whenever a replica has become so.

        Ends with `closed`, or with `engine_failed` where no replica is left.
        """
        while (event := self._outbox.next()) is not None:
            yield event

    def close(self) -> None:
        """Ends every replica and everything that it started, on every node. May be called twice."""
        self._closing = True
        self._inbox.put(lambda: None)
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> EngineCluster:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- the thread -----------------------------------------------------------

    def _run(self) -> None:
        try:
            self._fleet.open()
            for slot in self.slots:
                self._crew.launch(slot)
            while not self._closing and not self._ended:
                self._hear()
                self._tend()
            self._hear()  # what came meanwhile is written too
        except UserError as error:
            self._fail(Event(event="engine_failed", message=str(error)))
        except BaseException as error:
            logger.debug("driver", exc_info=True)
            said = "".join(traceback.format_exception_only(error)).strip()
            self._fail(Event(event="engine_failed", message=f"the driver failed: {said}"))
        finally:
            self._end()

    def _end(self) -> None:
        try:
            self._images.shutdown(wait=False, cancel_futures=True)
            for job in self._jobs.values():
                job.close()
            self._fleet.close()
        except Exception:
            logger.warning("the replicas could not be ended in good order", exc_info=True)
        finally:
            if not self._ended:
                self._outbox.write(Event(event="closed"))
            self._ended = True
            self._outbox.end()

    def _fail(self, event: Event) -> None:
        for job in self._jobs.values():
            self._outbox.write(
                job.progress.event("progress", details=self._details(job.by_replica))
            )
        self._outbox.write(event)
        self._ended = True

    def _hear(self) -> None:
        """Acts on all news that are there; waits for some, but not long."""
        try:
            self._inbox.get(timeout=0 if self._closing else TICK_SECONDS)()
            for _ in range(MOST_AT_ONCE):
                self._inbox.get_nowait()()
        except queue.Empty:
            pass

    def _tend(self) -> None:
        """What is due: starting again, handing out, finishing, giving up."""
        now = time.monotonic()
        self._crew.tend(now)
        # A run's time counts from when an engine has room for its questions.
        while self._ready and self._pending and not self._work.queue:
            self._take_up(self._pending.popleft())
        self._hand_out()
        self._finish_jobs()
        failure = self._crew.failure(now, self._ready is not None)
        if failure is not None:
            self._fail(failure)

    def _relay(self, slot: Slot, generation: int, heard: Heard) -> None:
        """Called by the fleet's threads."""
        self._inbox.put(partial(self._on_heard, slot, generation, heard))

    # --- news -----------------------------------------------------------------

    def _on_heard(self, slot: Slot, generation: int, heard: Heard) -> None:
        if not self._crew.listens_to(slot, generation):
            return
        if heard.place is not None:
            slot.place = heard.place
            slot.state = "starting"
            self._tell_starting("")
        for event in heard.events:
            self._on_event(slot, event)
        if heard.lost and self._crew.listens_to(slot, generation):
            self._crew.lose(slot, heard.lost)

    def _on_event(self, slot: Slot, event: Event) -> None:
        kind, details = event.event, event.details
        if kind in ("begun", "asked", "answer", "given_back", "ready"):
            slot.heard_at = time.monotonic()
        if kind == "begun":
            self._work.begun(slot.number, int(details["group"]))
        elif kind == "asked":
            self._work.asked(int(details["index"]))
        elif kind == "answer":
            self._on_answer(slot, details)
        elif kind == "given_back":
            self._work.given_back(slot.number, details["groups"])
        elif kind == "images_missing" and slot.handle is not None:
            self._images.submit(_send_images, slot.handle, dict(details["images"]))
        elif kind == "ready":
            self._on_ready(slot, event)
        elif kind == "starting":
            self._tell_starting(event.message)
        elif kind == "engine_failed":
            self._crew.lose(slot, event.message, event)

    def _on_ready(self, slot: Slot, event: Event) -> None:
        other = _difference(self._ready, event)
        if other:
            slot.failures = MOST_FAILURES
            self._crew.lose(slot, other, event.model_copy(update={"event": "engine_failed"}))
            return
        slot.state, slot.ready = "answering", event
        first = self._ready is None
        self._ready = self._ready or event
        places = [s.place.as_dict() for s in self.slots if s.place and s.ready]
        details = {**self._ready.details, "replicas": len(self.slots), "places": places}
        seconds = time.monotonic() - self._started if first else event.elapsed_seconds
        self._outbox.write(
            Event(event="ready", details=details, elapsed_seconds=seconds, message=slot.node)
        )

    def _on_answer(self, slot: Slot, details: dict[str, Any]) -> None:
        told = Answer(**{key: value for key, value in details.items() if key in _ANSWER_FIELDS})
        number, index = divmod(told.index, PER_JOB)
        job = self._jobs.get(number)
        if not self._work.answered(told.index) or job is None:
            return  # somebody was first
        slot.note_answer(time.monotonic())
        try:
            job.record(replace(told, index=index), slot.number)
        except UserError as error:
            self._work.drop(number)
            self._close_job(job, job.progress.event("job_failed", message=str(error)))

    def _tell_starting(self, message: str) -> None:
        if self._ready is None:
            placed = [slot.node for slot in self.slots if slot.node]
            where = f"{len(placed)} of {len(self.slots)} replicas starting"
            said = f"{where}: {message}" if message else where
            self._outbox.write(Event(event="starting", message=said))

    # --- jobs -----------------------------------------------------------------

    def _take_up(self, job: Job) -> None:
        self._job_numbers += 1
        number = self._job_numbers
        try:
            opened = OpenJob.take_up(number, job, self._outbox, self._details)
        except UserError as error:
            failed = Event(event="job_failed", job_id=job.job_id, message=str(error))
            self._outbox.write(failed)
            return
        self._jobs[number] = opened
        self._work.add(number, opened.unanswered)

    def _hand_out(self) -> None:
        """One group at a time to whoever has least, as long as somebody has room."""
        ready, sharing = self._crew.answering, self._crew.sharing
        orders: dict[int, list[Order]] = {}
        while self._work.queue:
            with_room = [s for s in ready if self._work.has_room(s.number, sharing)]
            if not with_room:
                break
            idle = sum(not self._work.held_by(s.number).groups for s in with_room)
            by_load = sorted(with_room, key=lambda s: len(self._work.held_by(s.number).groups))
            for taken_care_of, slot in enumerate(by_load):
                group = self._work.hand_out(slot.number, max(1, idle - taken_care_of))
                if group is None:
                    break
                orders.setdefault(slot.number, []).append(self._order(group))
        idle_ones = [s.number for s in ready if not self._work.held_by(s.number).groups]
        taken = self._work.to_give_back(idle_ones)
        if taken is not None:
            replica, most = taken
            orders.setdefault(replica, []).append(Order(order="give_back", most=most))
        for replica, told in orders.items():
            handle = self.slots[replica].handle
            if handle is not None:
                self.slots[replica].heard_at = time.monotonic()
                handle.tell(told)

    def _order(self, group: Group) -> Order:
        requests = tuple(
            request_to_json(replace(request, index=number))
            for number, request in group.requests.items()
        )
        sampling = self._jobs[group.job].job.sampling
        return Order(order="ask", group=group.key, requests=requests, sampling=sampling)

    def _finish_jobs(self) -> None:
        for job in [*self._jobs.values()]:
            if not self._work.open_questions(job.number):
                details = self._details(job.by_replica)
                details["asked_twice"] = self._work.asked_twice[job.number]
                self._close_job(job, job.progress.event("job_done", details=details))

    def _close_job(self, job: OpenJob, last: Event) -> None:
        del self._jobs[job.number]
        job.close()
        self._outbox.write(last)

    def _details(self, answered: Mapping[int, int]) -> dict[str, Any]:
        """How each replica stands; `answered` are those of one job."""
        now = time.monotonic()
        stands = [slot.as_dict(now, answered.get(slot.number, 0)) for slot in self.slots]
        return {"replicas": stands}


def _send_images(handle: Any, images: dict[str, str]) -> None:
    """Reads the files that a node lacks and sends them; one that cannot be read goes as b""."""
    found = {}
    for digest, path in images.items():
        try:
            found[digest] = Path(path).read_bytes()
        except OSError:
            found[digest] = b""
    handle.put_images(found)


def _difference(first: Event | None, other: Event) -> str:
    """Why the other engine's answers may not be those of the first; "" where they are."""
    if first is None:
        return ""
    for key in ("name", "version", "platform", "max_model_len"):
        if first.details.get(key) != other.details.get(key):
            return (
                f"its {key} is {other.details.get(key)}, the first replica's is "
                f"{first.details.get(key)}: install the same vLLM on every node"
            )
    return ""
