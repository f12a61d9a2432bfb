"""What the driver needs of whatever runs its replicas: Ray, or a double of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pixtrack.tasks.runs.protocol import Event, Order


@dataclass(frozen=True)
class Place:
    """Where a replica is."""

    node: str
    """The machine's name."""
    cards: tuple[str, ...] = ()
    log: str = ""
    """The engine's log on that machine."""
    address: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For a run's record."""
        return {"node": self.node, "cards": list(self.cards), "log": self.log}


@dataclass(frozen=True)
class Heard:
    """News of a replica."""

    place: Place | None = None
    """It has its place: its actor runs."""
    events: Sequence[Event] = ()
    lost: str = ""
    """Why nothing more will be heard of it: its actor or node is gone."""


class Handle(Protocol):
    """One start of a replica. No method waits; what fails is heard as `lost`."""

    def tell(self, orders: Sequence[Order]) -> None:
        """Sends orders to its child, in this order."""
        ...

    def put_images(self, images: Mapping[str, bytes]) -> None:
        """Sends image files that its node lacks, by sha256."""
        ...

    def end(self) -> None:
        """Ends it and everything that it started. May be called twice."""
        ...


class Fleet(Protocol):
    """Starts replicas."""

    def open(self) -> None:
        """Gets hold of the machines. Waits as long as that takes; raises UserError."""
        ...

    def launch(self, number: int, hear: Callable[[Heard], None]) -> Handle:
        """Starts a replica where there is room, now or as soon as there is; returns at once.

        `hear` is called from any thread.
        """
        ...

    def close(self) -> None:
        """Ends all replicas, side by side, and lets go of the machines. May be called twice."""
        ...
