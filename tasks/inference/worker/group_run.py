"""Asks the prompts of one image group: the leader, then its followers, and so on in each branch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from pixtrack.tasks.inference.prompts.base import Draft
from pixtrack.tasks.inference.worker.grouping import Branch, plant
from pixtrack.tasks.runs.image_groups import image_key

AskOne = Callable[[Draft, Sequence[Any], "Callable[[], None] | None"], Awaitable[None]]
"""A function that asks one prompt and reports its answer. Its arguments: the draft, the images
(None for one that was sent before), and a function that is called at the first token, or None."""


class GroupRun:
    """Asks a group's prompts, at most `width` of them at a time."""

    def __init__(self, ask: AskOne, images: dict[str, Any], width: int, leads: bool) -> None:
        """Prepares to ask a group.

        Args:
            ask: asks one prompt
            images: prepared pixels by `image_key`; each is deleted once the engine has it
            width: most prompts in flight
            leads: whether followers wait for the leader, because the engine shares its computation
        """
        self._ask_one = ask
        self._images = images
        self._slots = asyncio.Semaphore(width)
        self._leads = leads

    async def run(self, branch: Branch) -> None:
        """Asks every prompt and returns when all have answers.

        An error of `ask` cancels the others and is raised.
        """
        if not self._leads:
            await _all(self._ask(draft, None) for draft in _every(branch))
            return
        leader: asyncio.Task[None] | None = None
        try:
            while True:
                first_token = asyncio.Event()
                leader = asyncio.create_task(self._ask(branch.leader, first_token.set))
                await either(leader, first_token)
                if first_token.is_set():
                    break
                leader.result()
                # The leader was refused, or failed before its prompt was computed: another one
                # leads.
                rest = [draft for draft in _every(branch) if draft is not branch.leader]
                if not rest:
                    return
                branch = plant(rest)
            # The engine was sent the leader's images and holds them under their uuids.
            for image in branch.leader.request.images:
                self._images.pop(image_key(image), None)
            await _all(
                [
                    _joined(leader),
                    *(self._ask(follower, None) for follower in branch.followers),
                    *(self.run(further) for further in branch.branches),
                ]
            )
        finally:
            await cancel([leader] if leader else [])

    async def _ask(self, draft: Draft, on_first_token: Callable[[], None] | None) -> None:
        async with self._slots:
            images = [self._images.get(image_key(image)) for image in draft.request.images]
            await self._ask_one(draft, images, on_first_token)


def _every(branch: Branch) -> list[Draft]:
    """All drafts of a branch, in the order of the requests."""
    found = [branch.leader, *branch.followers]
    for further in branch.branches:
        found += _every(further)
    return sorted(found, key=lambda draft: draft.request.index)


async def either(task: asyncio.Task[None], event: asyncio.Event) -> None:
    """Waits for the end of the task or for the event, whichever is first."""
    token = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, token}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        token.cancel()


async def _joined(task: asyncio.Task[None]) -> None:
    await task


async def _all(waiting: Iterable[Awaitable[None]]) -> None:
    """Runs all of them; the first error cancels the others and is raised."""
    running = {asyncio.ensure_future(one) for one in waiting}
    try:
        while running:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            raise_failed(running)
    finally:
        await cancel(running)


def raise_failed(tasks: set[asyncio.Task[None]] | set[asyncio.Future[None]]) -> None:
    """Removes the tasks that are done; raises the error of one that failed."""
    done = {task for task in tasks if task.done()}
    tasks -= done
    # Every error is retrieved, because asyncio logs those that never are.
    errors = [error for task in done if (error := task.exception()) is not None]
    if errors:
        raise errors[0]


async def cancel(tasks: Iterable[asyncio.Future[None]]) -> None:
    """Cancels the tasks that run and waits for all of them.

    Errors raised during cancellation are ignored: the first one is already being raised.
    """
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
