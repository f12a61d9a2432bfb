"""The driver's book on one replica: how it stands, what it has done, when it is given up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from pixtrack.tasks.inference.host.cluster.fleet import Handle, Place
from pixtrack.tasks.runs.protocol import Event

RATE_SECONDS = 10.0
MOST_FAILURES = 2
"""Deaths without an answer between them, after which a replica is not started again."""

State = Literal["waiting for room", "starting", "answering", "lost", "given up"]


@dataclass
class Slot:
    """One of the replicas that were asked for, through all of its starts."""

    number: int
    """From 0."""
    state: State = "lost"
    handle: Handle | None = None
    generation: int = 0
    """Counts its starts: what an earlier start is still heard to say is not listened to."""
    place: Place | None = None
    answered: int = 0
    failures: int = 0
    """Deaths since its last answer."""
    starts_again: float = 0.0
    """When a lost one may be started again, on the monotonic clock."""
    heard_at: float = 0.0
    """When something of its work was heard last, on the monotonic clock."""
    ready: Event | None = None
    last_failure: Event | None = None
    _times: deque[float] = field(default_factory=deque)

    @property
    def node(self) -> str:
        """The machine's name; "" while it has no place."""
        return self.place.node if self.place else ""

    @property
    def works(self) -> bool:
        """Whether it answers, or will if all goes well."""
        return self.state in ("starting", "answering")

    def note_answer(self, now: float) -> None:
        """Counts an answer."""
        self.answered += 1
        self.failures = 0
        self._times.append(now)
        self._forget(now)

    def rate(self, now: float) -> float:
        """Answers a second over the last seconds."""
        self._forget(now)
        return len(self._times) / RATE_SECONDS

    def as_dict(self, now: float, answered: int) -> dict[str, Any]:
        """For a bar and for a record; `answered` questions of the run in question."""
        place = self.place.as_dict() if self.place else {"node": "", "cards": [], "log": ""}
        return {
            "replica": self.number + 1,
            "state": self.state,
            "answered": answered,
            "rate": round(self.rate(now), 1),
            **place,
        }

    def _forget(self, now: float) -> None:
        while self._times and now - self._times[0] > RATE_SECONDS:
            self._times.popleft()
