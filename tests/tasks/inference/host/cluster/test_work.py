"""Groups handed out, taken back, divided: nothing is lost, nothing asked twice without need."""

from __future__ import annotations

import random

import pytest

from pixtrack.tasks.inference.host.cluster.work import (
    AHEAD,
    LEAST_SPLIT,
    LOSSES_IN_FRONT,
    PER_JOB,
    Group,
    Work,
)
from pixtrack.tasks.records import ImageRef, Request


def requests(images: int, each: int) -> list[Request]:
    refs = [ImageRef(f"hash{n}", f"/{n}.png", 10, 10) for n in range(images)]
    return [
        Request(n * each + k, (refs[n],), (f"{k}",)) for n in range(images) for k in range(each)
    ]


def work(images: int, each: int = 2, job: int = 1) -> Work:
    made = Work()
    made.add(job, requests(images, each))
    return made


def answer_all(made: Work, group: Group) -> None:
    for number in [*group.requests]:
        assert made.answered(number)


def test_a_replica_gets_more_as_it_begins_what_it_has() -> None:
    made = work(100)
    got = []
    while made.has_room(0, sharing=1):
        group = made.hand_out(0)
        assert group is not None
        got.append(group)
    assert len(got) == AHEAD
    made.begun(0, got[0].key)
    assert made.has_room(0, sharing=1)
    # All questions of an image are together.
    assert all(len({r.images[0].path for r in g.requests.values()}) == 1 for g in got)


def test_towards_the_end_nobody_has_more_than_its_share() -> None:
    made = work(8)
    for _ in range(4):
        assert made.has_room(0, sharing=2)
        made.hand_out(0)
    assert not made.has_room(0, sharing=2) and made.has_room(1, sharing=2)
    assert made.has_room(0, sharing=1)  # the other one is gone


def test_the_first_word_counts_and_the_second_does_not() -> None:
    made = work(1, 2)
    group = made.hand_out(0)
    assert group is not None
    number = PER_JOB + 0
    assert made.answered(number) and not made.answered(number)
    assert made.open_questions(1) == 1 and made.unfinished == 1
    assert made.answered(PER_JOB + 1) and made.unfinished == 0


def test_what_a_dead_replica_had_comes_back_first_and_is_counted_where_asked_again() -> None:
    made = work(4)
    first, second = made.hand_out(0), made.hand_out(0)
    assert first is not None and second is not None
    made.begun(0, first.key)
    asked = [*first.requests]
    made.asked(asked[0])
    made.asked(asked[1])
    made.answered(asked[0])
    assert made.lost(0) == 3
    again = made.hand_out(1)
    assert again is first and [*again.requests] == asked[1:]
    made.asked(asked[1])
    for number in second.requests:
        made.asked(number)  # the dead one was not asked these
    assert made.asked_twice == {1: 1}


def test_a_group_that_goes_down_with_every_engine_goes_last() -> None:
    made = work(3)
    for _ in range(LOSSES_IN_FRONT + 1):
        group = made.hand_out(0)
        assert group is not None and PER_JOB in group.requests
        made.begun(0, group.key)
        made.lost(0)
    assert PER_JOB in made.queue[-1].requests


def test_only_groups_that_are_not_begun_are_taken_back() -> None:
    made = work(6)
    got = [made.hand_out(0) for _ in range(6)]
    assert made.to_give_back([1]) is None  # it is about to begin them
    made.begun(0, got[0].key)  # type: ignore[union-attr]
    made.held_by(1)
    assert made.to_give_back([1]) == (0, 3)
    assert made.to_give_back([1]) is None  # one question at a time
    made.given_back(0, [group.key for group in got[3:] if group])
    assert len(made.queue) == 3 and made.held_by(0).waiting == 2
    assert made.to_give_back([1]) is None  # there is something to hand out


@pytest.mark.parametrize("idle", [1, 2, 3, 50])
def test_a_large_group_is_divided_where_nothing_else_is_left(idle: int) -> None:
    made = work(1, 5 * LEAST_SPLIT)
    parts = []
    for left in range(idle, 0, -1):
        group = made.hand_out(left, idle=left)
        if group is not None:
            parts.append(len(group.requests))
    assert sum(parts) == 5 * LEAST_SPLIT
    assert len(parts) == min(idle, 5) and min(parts) >= LEAST_SPLIT
    assert made.open_questions(1) == 5 * LEAST_SPLIT


def test_a_group_is_not_divided_where_others_wait() -> None:
    made = work(3, 4 * LEAST_SPLIT)
    assert len(made.hand_out(0, idle=3).requests) == 4 * LEAST_SPLIT  # type: ignore[union-attr]


def test_a_dropped_job_leaves_the_others() -> None:
    made = work(3)
    made.add(2, requests(2, 2))
    made.hand_out(0)
    made.drop(1)
    assert made.open_questions(1) == 0 and made.unfinished == 2
    assert all(group.job == 2 for group in made.queue)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_dies_everything_is_answered_once(seed: int) -> None:
    """Random replicas answer, die and give back: the books are right in the end."""
    chance = random.Random(seed)
    made = work(30, chance.randint(1, 20))
    total, answered = made.open_questions(1), 0
    for _ in range(100_000):
        if not made.open_questions(1):
            break
        replica = chance.randrange(4)
        held = made.held_by(replica)
        act = chance.random()
        if act < 0.02:
            made.lost(replica)
        elif act < 0.1:
            back = [g.key for g in held.groups.values() if not g.begun][:2]
            made.given_back(replica, back)
        elif act < 0.5 and made.has_room(replica, 4):
            made.hand_out(replica, idle=chance.randint(1, 4))
        elif held.groups:
            group = chance.choice([*held.groups.values()])
            made.begun(replica, group.key)
            number = chance.choice([*group.requests])
            made.asked(number)
            answered += made.answered(number)
        now = made.held_by(replica)
        assert now.waiting == sum(not g.begun for g in now.groups.values())
    assert answered == total and made.unfinished == 0 and not made.queue
