"""Who asks what: image groups that wait, that a replica has, and that come back from one that died.

Nothing here knows of Ray, of processes or of time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.image_groups import group_by_image

PER_JOB = 10**9
"""A question's number is PER_JOB times its job's plus its index: unlike in all jobs of a driver."""

AHEAD = 6
"""Groups that a replica gets beyond those it has begun: it reads their images meanwhile."""
LEAST_HELD = 2
"""Groups that a replica may have in any case; beyond them, no more than its share of the rest."""
LEAST_SPLIT = 8
"""Questions of a part, where a group is divided because nothing else is left to do: the part's
engine computes the image once more."""
LOSSES_IN_FRONT = 2
"""A group that was lost more often goes last: it may be what kills the engines."""


@dataclass
class Group:
    """Questions that are asked by one replica, as far as they are unanswered."""

    key: int
    job: int
    requests: dict[int, Request]
    """By the question's number."""
    begun: bool = False
    losses: int = 0


@dataclass
class Held:
    """The groups that a replica has, by key."""

    groups: dict[int, Group] = field(default_factory=dict)
    waiting: int = 0
    """Groups that it has not begun."""
    giving_back: bool = False
    """It was asked for some back, and has not said which."""

    def take(self, group: Group) -> None:
        """Adds a group that is not begun."""
        self.groups[group.key] = group
        self.waiting += 1

    def remove(self, key: int) -> Group | None:
        """The group, which the replica no longer has; None where it had none of that key."""
        group = self.groups.pop(key, None)
        if group is not None and not group.begun:
            self.waiting -= 1
        return group

    def begin(self, key: int) -> None:
        """Notes that a group is begun."""
        group = self.groups.get(key)
        if group is not None and not group.begun:
            group.begun = True
            self.waiting -= 1


class Work:
    """The unanswered questions of the open jobs."""

    def __init__(self) -> None:
        self.queue: deque[Group] = deque()
        """Groups that nobody has."""
        self.held: dict[int, Held] = {}
        """By replica."""
        self.asked_twice: dict[int, int] = {}
        """By job: questions that a second replica was asked, as the first died."""
        self._group_of: dict[int, Group] = {}
        """Of each unanswered question."""
        self._open: dict[int, int] = {}
        """Unanswered questions of each job."""
        self._asked: set[int] = set()
        self._keys = 0

    def add(self, job: int, requests: Iterable[Request]) -> None:
        """Queues a job's questions, group by group."""
        self.asked_twice[job] = self._open[job] = 0
        for group in group_by_image(requests):
            self.queue.append(self._new_group(job, group))

    def drop(self, job: int) -> None:
        """Forgets a job: what a replica still answers of it is not waited for."""
        self.queue = deque(group for group in self.queue if group.job != job)
        for number in [n for n, group in self._group_of.items() if group.job == job]:
            self.answered(number)
        self._open[job] = 0

    def open_questions(self, job: int) -> int:
        """How many of the job are unanswered."""
        return self._open[job]

    @property
    def unfinished(self) -> int:
        """Groups with an unanswered question, wherever they are."""
        return len(self.queue) + sum(len(held.groups) for held in self.held.values())

    def held_by(self, replica: int) -> Held:
        """What the replica has."""
        return self.held.setdefault(replica, Held())

    def has_room(self, replica: int, sharing: int) -> bool:
        """Whether the replica can have one more group; `sharing` replicas work or will soon."""
        held = self.held_by(replica)
        share = max(LEAST_HELD, math.ceil(self.unfinished / max(1, sharing)))
        return held.waiting < AHEAD and len(held.groups) < share

    def hand_out(self, replica: int, idle: int = 1) -> Group | None:
        """The next group, which the replica has from now on; None where none waits.

        `idle` replicas have nothing: where fewer groups wait, a large one is divided.
        """
        if not self.queue:
            return None
        group = self.queue.popleft()
        parts = min(idle - len(self.queue), len(group.requests) // LEAST_SPLIT)
        if parts > 1:
            self.queue.appendleft(self._cut_off(group, math.ceil(len(group.requests) / parts)))
        self.held_by(replica).take(group)
        return group

    def to_give_back(self, idle: Sequence[int]) -> tuple[int, int] | None:
        """(replica, groups) to be taken back for one of the idle replicas; None: there is nothing.

        Only groups that are not begun come back, so that nothing is asked twice; and only from one
        that is at work on others: else a group could go to and fro for ever.
        """
        if self.queue or not idle:
            return None
        waiting = {
            replica: held.waiting
            for replica, held in self.held.items()
            if replica not in idle and 0 < held.waiting < len(held.groups)
        }
        if not waiting or any(self.held[replica].giving_back for replica in waiting):
            return None
        richest = max(waiting, key=lambda replica: waiting[replica])
        self.held[richest].giving_back = True
        return richest, math.ceil(waiting[richest] / 2)

    def given_back(self, replica: int, keys: Iterable[int]) -> None:
        """Puts back what the replica was asked for and has not begun."""
        held = self.held_by(replica)
        held.giving_back = False
        for key in keys:
            group = held.remove(key)
            if group is not None:
                self.queue.appendleft(group)

    def begun(self, replica: int, key: int) -> None:
        """The replica has begun a group."""
        if replica in self.held:
            self.held[replica].begin(key)

    def asked(self, number: int) -> None:
        """A question goes to an engine."""
        group = self._group_of.get(number)
        if group is None:
            return
        if number in self._asked:
            self.asked_twice[group.job] += 1
        self._asked.add(number)

    def answered(self, number: int) -> bool:
        """Whether this is the first word about the question; it is closed from then on."""
        group = self._group_of.pop(number, None)
        if group is None:
            return False
        self._asked.discard(number)
        self._open[group.job] -= 1
        group.requests.pop(number, None)
        if not group.requests:
            for held in self.held.values():
                held.remove(group.key)
        return True

    def lost(self, replica: int) -> int:
        """Takes everything back from a replica that died; returns how many questions that are."""
        held = self.held.pop(replica, Held())
        for group in reversed(held.groups.values()):
            group.losses += group.begun
            group.begun = False
            if group.losses > LOSSES_IN_FRONT:
                self.queue.append(group)
            else:
                self.queue.appendleft(group)
        return sum(len(group.requests) for group in held.groups.values())

    def _new_group(self, job: int, requests: Iterable[Request]) -> Group:
        self._keys += 1
        requests = list(requests)
        self._open[job] += len(requests)
        group = Group(self._keys, job, {job * PER_JOB + r.index: r for r in requests})
        self._group_of.update(dict.fromkeys(group.requests, group))
        return group

    def _cut_off(self, group: Group, keep: int) -> Group:
        """What is more than `keep` questions of the group, as a group of its own."""
        numbers = [*group.requests][keep:]
        self._open[group.job] -= len(numbers)
        rest = self._new_group(group.job, [group.requests.pop(number) for number in numbers])
        rest.losses = group.losses
        return rest
