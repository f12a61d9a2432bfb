"""The replicas of a driver: started, lost, started again, given up."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from functools import partial

from pixtrack.tasks.inference.host.cluster.fleet import Fleet, Heard
from pixtrack.tasks.inference.host.cluster.slots import MOST_FAILURES, Slot
from pixtrack.tasks.inference.host.cluster.work import Work
from pixtrack.tasks.runs.protocol import Event

logger = logging.getLogger(__name__)

STUCK_SECONDS = 900.0
"""A replica that has questions and reports nothing for so long hangs: it is replaced."""
NO_ROOM_SECONDS = 60.0
"""A run without a replica waits so long for room on the cluster."""
RESTART_SECONDS = 2.0
"""Between the death of a replica and its next start."""

News = Callable[[Slot, int, Heard], None]
"""Called from any thread with news of a replica's start of that generation."""


class Crew:
    """The replicas, used by the driver's thread alone."""

    def __init__(self, fleet: Fleet, work: Work, number: int, news: News) -> None:
        self.slots = [Slot(n) for n in range(number)]
        self._fleet = fleet
        self._work = work
        self._news = news
        self._none_since = time.monotonic()

    @property
    def answering(self) -> list[Slot]:
        """The replicas whose engine is up."""
        return [slot for slot in self.slots if slot.state == "answering"]

    @property
    def sharing(self) -> int:
        """How many work, or will if all goes well."""
        return sum(slot.works for slot in self.slots)

    def launch(self, slot: Slot) -> None:
        """Starts a replica, as soon as the cluster has room for it."""
        slot.generation += 1
        slot.state, slot.place, slot.ready = "waiting for room", None, None
        slot.handle = self._fleet.launch(slot.number, partial(self._news, slot, slot.generation))

    def listens_to(self, slot: Slot, generation: int) -> bool:
        """Whether news of that start still matter."""
        return generation == slot.generation and slot.state not in ("lost", "given up")

    def tend(self, now: float) -> None:
        """Starts again what is due, and gives up waiting for what hangs."""
        for slot in self.slots:
            if slot.state == "lost" and now >= slot.starts_again:
                self.launch(slot)
            asked = slot.state == "answering" and self._work.held_by(slot.number).groups
            if asked and now - slot.heard_at > STUCK_SECONDS:
                self.lose(slot, f"no answer for {STUCK_SECONDS / 60:.0f} minutes")

    def lose(self, slot: Slot, why: str, failure: Event | None = None) -> None:
        """Takes the replica's groups back, and notes whether and when it is started again.

        `failure` is the engine's own word; None where its actor or node is gone.
        """
        was_ready = slot.ready is not None
        questions = self._work.lost(slot.number)
        if slot.handle is not None:
            slot.handle.end()
            slot.handle = None
        slot.failures += 1
        slot.last_failure = failure or Event(
            event="engine_failed", message=why, details={"reason": "engine_died"}
        )
        # What an engine itself says at its start it would say again.
        hopeless = (failure is not None and not was_ready) or slot.failures > MOST_FAILURES
        slot.state = "given up" if hopeless else "lost"
        slot.starts_again = time.monotonic() + RESTART_SECONDS
        what = "died" if was_ready else "did not start"
        back = f"; {questions} questions go to others" if questions else ""
        then = "it is not started again" if hopeless else "it is started again where there is room"
        log = f" (log: {place})" if (place := _log_place(slot)) else ""
        logger.warning("%s %s: %s%s; %s%s", self.name(slot), what, why, back, then, log)

    def name(self, slot: Slot) -> str:
        """The replica as people are told of it: its number, and its machine."""
        where = f" on {slot.node}" if slot.node else ""
        return f"replica {slot.number + 1} of {len(self.slots)}{where}"

    def failure(self, now: float, was_ready: bool) -> Event | None:
        """Why the run cannot go on: no replica is left, or there is no room for any.

        `was_ready`: whether an engine has been up.
        """
        left = [slot for slot in self.slots if slot.state != "given up"]
        if any(slot.works for slot in left):
            self._none_since = now
            return None
        if left and now - self._none_since < NO_ROOM_SECONDS:
            return None
        failed = next((slot for slot in self.slots if slot.last_failure), None)
        if failed is None or failed.last_failure is None:
            message = (
                f"no room for a replica within {NO_ROOM_SECONDS:.0f} s: others use the cluster's "
                "cards (`ray status` shows them); try again later"
            )
            return Event(event="engine_failed", message=message)
        told = failed.last_failure
        reason = "engine_died" if was_ready else told.details.get("reason", "unknown")
        details = {**told.details, "reason": reason}
        if place := _log_place(failed):
            details["log"] = place
        message = f"no replica is left: {self.name(failed)}: {told.message}"
        return told.model_copy(update={"message": message, "details": details})


def _log_place(slot: Slot) -> str:
    """Where the replica's log is; with the machine's name where that is another one."""
    if slot.place is None or not slot.place.log:
        return ""
    here = slot.place.node == socket.gethostname()
    return slot.place.log if here else f"{slot.place.node}:{slot.place.log}"
