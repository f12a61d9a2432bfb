"""Where a schedule's image groups come from: all at once, or one by one as somebody sends them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.runs.image_groups import ImageGroup


@dataclass(frozen=True)
class Lot:
    """An image group to ask, and how it is to be sampled."""

    requests: ImageGroup
    sampling: Sampling
    key: int = 0
    """The sender's own number for it."""


class Source(Protocol):
    """Hands out lots, in order."""

    @property
    def ended(self) -> bool:
        """Whether no more lots come than those that `take` still has."""
        ...

    def take(self) -> Lot | None:
        """The next lot; None where there is none at the moment."""
        ...

    def give_back(self) -> Lot | None:
        """The lot that came last, if `take` has not had it and its sender may want it back."""
        ...

    async def changed(self) -> None:
        """Waits until there may be a lot, or the end."""
        ...


class ListSource:
    """Lots that are all known from the start."""

    ended = True

    def __init__(self, lots: Iterable[Lot]) -> None:
        self._lots = iter(lots)

    def take(self) -> Lot | None:
        """The next lot; None after the last."""
        return next(self._lots, None)

    def give_back(self) -> None:
        """Nobody wants any back."""

    async def changed(self) -> None:
        """Returns at once: nothing changes."""


class StreamSource:
    """Lots that come one by one, until `end`."""

    def __init__(self) -> None:
        self.ended = False
        self._lots: deque[Lot] = deque()
        self._changed = asyncio.Event()

    def put(self, lot: Lot) -> None:
        """Adds a lot."""
        self._lots.append(lot)
        self._changed.set()

    def end(self) -> None:
        """No more lots come."""
        self.ended = True
        self._changed.set()

    def take(self) -> Lot | None:
        """The next lot; None where there is none at the moment."""
        return self._lots.popleft() if self._lots else None

    def give_back(self) -> Lot | None:
        """The lot that came last, if `take` has not had it."""
        return self._lots.pop() if self._lots else None

    async def changed(self) -> None:
        """Waits until a lot is put, or the end comes."""
        await self._changed.wait()
        self._changed.clear()
