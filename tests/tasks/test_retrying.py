"""Trying again: how often, after which pauses, and what is raised in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pixtrack.tasks.retrying import TryAgain, retrying, retrying_async


class Fails:
    """Raises what it is given, one a call, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


def now(call: Callable[[], str], attempts: int, pauses: list[float]) -> str:
    """Tries in this thread."""
    answer: str = retrying(attempts).copy(sleep=pauses.append)(call)
    return answer


def beside(call: Callable[[], str], attempts: int, pauses: list[float]) -> str:
    """Tries in an event loop."""

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def once() -> str:
        return call()

    async def run() -> str:
        answer: str = await retrying_async(attempts, sleep)(once)
        return answer

    return asyncio.run(run())


BOTH = pytest.mark.parametrize("trying", [now, beside])


@BOTH
def test_pauses_grow_up_to_a_limit(trying: Callable[..., str]) -> None:
    pauses: list[float] = []
    call = Fails(*[TryAgain("busy")] * 9)
    assert trying(call, 10, pauses) == "answer"
    assert call.calls == 10
    for number, pause in enumerate(pauses):
        longest = min(2**number, 30)
        assert longest / 2 <= pause <= longest


@BOTH
def test_a_pause_that_is_asked_for_is_kept_up_to_a_limit(trying: Callable[..., str]) -> None:
    pauses: list[float] = []
    assert trying(Fails(TryAgain("x", 7), TryAgain("x", 0), TryAgain("x", 1e9)), 4, pauses)
    for pause, least in zip(pauses, (7, 0, 120), strict=True):
        assert least <= pause <= least + 1


@BOTH
def test_the_last_failure_is_raised_as_it_is(trying: Callable[..., str]) -> None:
    pauses: list[float] = []
    call = Fails(*[TryAgain(f"busy {n}") for n in range(9)])
    with pytest.raises(TryAgain, match="busy 2"):
        trying(call, 3, pauses)
    assert (call.calls, len(pauses)) == (3, 2)


@BOTH
def test_nothing_else_is_tried_again(trying: Callable[..., str]) -> None:
    call = Fails(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        trying(call, 3, [])
    assert call.calls == 1
