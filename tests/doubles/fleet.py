"""A fleet whose replicas are threads that answer, die and lag as a test says; no Ray, no engine.

They speak the driver's real protocol: Orders and Events cross as JSON.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.host.cluster.fleet import Heard, Place
from pixtrack.tasks.records import Answer, request_from_json, to_json
from pixtrack.tasks.runs.protocol import Event, Order

READY = {"name": "vllm", "version": "0.32.0", "platform": "cpu", "max_model_len": 4096}


@dataclass
class Behaviour:
    """What one start of a replica does."""

    rate: float = 1000.0
    """Answers a second."""
    groups: int = 4
    """That it has begun at a time."""
    start_seconds: float = 0.0
    fails: str = ""
    """Why its engine does not start."""
    dies_after: int | None = None
    """Answers after which it is gone without a word."""
    engine_dies_after: int | None = None
    """Answers after which its engine says that it died."""
    hangs_after: int | None = None
    never_placed: bool = False
    ready: Mapping[str, object] = field(default_factory=lambda: READY)
    batch_seconds: float = 0.02
    """News travel together for so long."""


class FakeReplica(threading.Thread):
    """One start of a replica."""

    def __init__(self, number: int, does: Behaviour, hear: Callable[[Heard], None]) -> None:
        super().__init__(daemon=True, name=f"fake replica {number}")
        self.number, self.does, self.hear = number, does, hear
        self.ended = False
        self.asked: list[int] = []
        self.texts: dict[int, str] = {}
        self._orders: deque[Order] = deque()
        self._waiting: deque[Order] = deque()
        self._begun: deque[tuple[int, deque[dict[str, object]]]] = deque()
        self._news: list[str] = []
        self.start()

    def tell(self, orders: Sequence[Order]) -> None:
        texts = [order.model_dump_json(exclude_defaults=True) for order in orders]
        self._orders.extend(Order.model_validate_json(text) for text in texts)

    def put_images(self, images: Mapping[str, bytes]) -> None:
        raise AssertionError("it has its images")

    def end(self) -> None:
        self.ended = True

    def run(self) -> None:
        if self.does.never_placed:
            return
        self.hear(Heard(place=Place(f"node {self.number}", (), f"/log {self.number}")))
        time.sleep(self.does.start_seconds)
        if self.does.fails:
            details = {"reason": "out_of_memory", "log": f"/log {self.number}"}
            self._say("engine_failed", message=self.does.fails, details=details)
            self._send()
            return
        self._say("ready", details=dict(self.does.ready))
        self._send()
        self._answer()

    def _answer(self) -> None:
        answered, began = 0, time.monotonic()
        while not self.ended:
            self._follow()
            due = int((time.monotonic() - began) * self.does.rate) - answered
            if not self._begun:
                began, answered_then = time.monotonic(), answered
                began -= answered_then / self.does.rate
            for _ in range(due):
                if self.does.hangs_after is not None and answered >= self.does.hangs_after:
                    break
                if not self._answer_one():
                    break
                answered += 1
                if answered == self.does.dies_after:
                    self._send()
                    self.hear(Heard(lost="its actor is gone"))
                    return
                if answered == self.does.engine_dies_after:
                    self._say("engine_failed", message="CUDA error: illegal memory access")
                    self._send()
                    return
            self._send()
            time.sleep(self.does.batch_seconds)

    def _follow(self) -> None:
        while self._orders:
            order = self._orders.popleft()
            if order.order == "ask":
                self._waiting.append(order)
                continue
            given = [self._waiting.pop().group for _ in range(min(order.most, len(self._waiting)))]
            self._say("given_back", details={"groups": given})
        while self._waiting and len(self._begun) < self.does.groups:
            order = self._waiting.popleft()
            self._begun.append((order.group, deque(order.requests)))
            self._say("begun", details={"group": order.group})
            for request in order.requests:
                self.asked.append(int(request["index"]))
                self._say("asked", details={"index": request["index"]})

    def _answer_one(self) -> bool:
        if not self._begun:
            return False
        _, requests = self._begun[0]
        request = request_from_json(dict(requests.popleft()))
        if not requests:
            self._begun.popleft()
            self._follow()
        answer = Answer(request.index, request.turns[-1], "stop", 100, 50, 3)
        self._say("answer", details=to_json(answer))
        return True

    def _say(self, kind: str, **said: object) -> None:
        event = Event.model_validate({"event": kind, **said})
        self._news.append(event.model_dump_json(exclude_defaults=True))

    def _send(self) -> None:
        news, self._news = self._news, []
        if news:
            self.hear(Heard(events=[Event.model_validate_json(text) for text in news]))


class FakeFleet:
    """Replica N behaves, at its first start, second, …, as `behaviours[N]` says; the last one stays."""

    def __init__(self, *behaviours: Sequence[Behaviour], refuses: str = "") -> None:
        self.behaviours = behaviours
        self.refuses = refuses
        self.started: list[FakeReplica] = []
        self.closed = False
        self._starts: dict[int, int] = {}

    def open(self) -> None:
        if self.refuses:
            raise UserError(self.refuses)

    def launch(self, number: int, hear: Callable[[Heard], None]) -> FakeReplica:
        start = self._starts.get(number, 0)
        self._starts[number] = start + 1
        does = self.behaviours[number]
        replica = FakeReplica(number, does[min(start, len(does) - 1)], hear)
        self.started.append(replica)
        return replica

    def close(self) -> None:
        self.closed = True
        for replica in self.started:
            replica.end()
