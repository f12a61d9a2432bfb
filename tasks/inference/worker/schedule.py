"""The order and concurrency in which an engine is fed: leader and followers, one group an image.

Prefix caching helps only once the first prefill of an image has finished: questions on one image
that are submitted together each compute the whole image. So the first question of an image group,
the leader, goes alone; when its first token arrives the image is in the KV cache, and the
followers go all at once. As many groups are in flight as the KV cache holds, computed from the
prompts' token counts, and no more: beyond that the engine evicts what the followers need.
Images are read and made ready in worker threads ahead of their group.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.engines.base import (
    Capabilities,
    Engine,
    EngineDied,
    EngineOutput,
    ImageNotCached,
    RequestRefused,
)
from pixtrack.tasks.inference.prompts.base import Draft, PromptBuilder
from pixtrack.tasks.inference.worker.blocking import Timed
from pixtrack.tasks.inference.worker.grouping import TokenBudget, plan_group
from pixtrack.tasks.inference.worker.images import WORKERS, read_images, working_bytes
from pixtrack.tasks.inference.worker.schedule_stats import ScheduleStats
from pixtrack.tasks.records import Answer, Request
from pixtrack.tasks.runs.image_groups import ImageGroup, group_by_image

MEMORY_AHEAD_BYTES = 1 << 30
"""Decoded images that wait for the engine, at most (one is always read, however large)."""

__all__ = ["ScheduleStats", "run_schedule"]


async def run_schedule(
    engine: Engine,
    capabilities: Capabilities,
    requests: Sequence[Request],
    sampling: Sampling,
    builder: PromptBuilder,
    on_answer: Callable[[Answer], None],
    *,
    max_groups: int | None = None,
) -> ScheduleStats:
    """Asks every request once and hands each answer to `on_answer`, in the order of completion.

    A request that cannot be asked (too long, damaged image) becomes a `refused` answer, one that
    the engine fails on an `error` answer; neither stops the others. EngineDied, a UserError, an
    error of `on_answer` and cancellation end the schedule: what is in flight is cancelled first.
    `max_groups` bounds the image groups in flight further than the KV cache does.
    """
    schedule = _Schedule(engine, capabilities, sampling, builder, on_answer, max_groups)
    return await schedule.run(group_by_image(requests))


@dataclass
class _ReadyGroup:
    """An image group with its prompts drafted and its images read."""

    drafts: list[Draft]
    images: list[Any]
    refused: list[Answer] = field(default_factory=list)
    seconds: float = 0.0


class _Schedule:
    def __init__(
        self,
        engine: Engine,
        capabilities: Capabilities,
        sampling: Sampling,
        builder: PromptBuilder,
        on_answer: Callable[[Answer], None],
        max_groups: int | None,
    ) -> None:
        self.engine = engine
        self.capabilities = capabilities
        self.sampling = sampling
        self.builder = builder
        self.on_answer = on_answer
        self.stats = ScheduleStats()
        self.budget = TokenBudget(capabilities, max_groups)
        limit = capabilities.max_concurrency
        self.slots = asyncio.Semaphore(limit) if limit else None
        self.in_flight = 0
        self.prepare = engine.prepare_image

    async def run(self, groups: Iterable[ImageGroup]) -> ScheduleStats:
        started, thread_started = time.perf_counter(), time.thread_time()
        running: set[asyncio.Task[None]] = set()
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="images")
        try:
            async for ready in self._ready_groups(groups, pool):
                for answer in ready.refused:
                    self._report(answer)
                if not ready.drafts:
                    continue
                plan = plan_group(ready.drafts, self.sampling.max_tokens, self.capabilities)
                held = (plan.reserved, ready.drafts[0].image_tokens)
                await self._wait_for_room(*held, running)
                self.stats.note_group(ready.drafts, plan, ready.seconds, self.budget.groups)
                task = asyncio.create_task(self._run_group(ready, plan.width, pool))
                task.add_done_callback(partial(self._group_done, *held))
                running.add(task)
                del ready  # its pixels belong to the task now
                _raise_failed(running)
            while running:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                _raise_failed(running)
        finally:
            await _cancel(running)
            pool.shutdown(wait=False, cancel_futures=True)
        self.stats.seconds = time.perf_counter() - started
        self.stats.loop_seconds = time.thread_time() - thread_started
        return self.stats

    async def _ready_groups(self, groups: Iterable[ImageGroup], pool: Executor) -> Any:
        """The groups in order, each drafted and read in a worker thread ahead of its turn."""
        loop = asyncio.get_running_loop()
        waiting = iter(groups)
        following: ImageGroup | None = next(waiting, None)
        ahead: deque[tuple[asyncio.Future[_ReadyGroup], int]] = deque()
        held = 0
        try:
            while ahead or following is not None:
                while following is not None:
                    size = working_bytes(following[0].images)
                    if ahead and (held + size > MEMORY_AHEAD_BYTES or len(ahead) >= 4 * WORKERS):
                        break
                    future = loop.run_in_executor(pool, self._read_group, following)
                    ahead.append((future, size))
                    held += size
                    following = next(waiting, None)
                future, size = ahead[0]
                ready = await future
                ahead.popleft()
                held -= size
                yield ready
        finally:
            for future, _ in ahead:
                future.cancel()

    def _read_group(self, group: ImageGroup) -> _ReadyGroup:
        """Runs in a worker thread: drafts the prompts and reads the images once for all of them."""
        ready = _ReadyGroup([], [])
        for request in group:
            try:
                ready.drafts.append(self._checked_draft(request))
            except RequestRefused as refusal:
                ready.refused.append(_refused(request, refusal))
        # Chat messages are built from the image file, with the prompt.
        if ready.drafts and self.capabilities.token_prompts:
            try:
                ready.images, ready.seconds = read_images(group[0].images, self.prepare)
            except RequestRefused as refusal:
                ready.refused += [_refused(draft.request, refusal) for draft in ready.drafts]
                ready.drafts = []
        return ready

    def _checked_draft(self, request: Request) -> Draft:
        draft = self.builder.draft(request)
        longest = self.capabilities.max_model_len
        # vLLM refuses a prompt that leaves no room for one token of output.
        if longest is not None and (draft.prompt_tokens or 0) >= longest:
            raise RequestRefused(
                f"prompt of {draft.prompt_tokens:,} tokens ({draft.image_tokens:,} of them for the "
                f"image) does not fit max_model_len {longest:,}"
            )
        return draft

    async def _wait_for_room(
        self, tokens: int, image_tokens: int, running: set[asyncio.Task[None]]
    ) -> None:
        while not self.budget.take(tokens, image_tokens):
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            _raise_failed(running)

    def _group_done(self, tokens: int, image_tokens: int, _task: asyncio.Task[None]) -> None:
        self.budget.give_back(tokens, image_tokens)

    async def _run_group(self, ready: _ReadyGroup, width: int, pool: Executor) -> None:
        """The leader until its first token, then the followers, `width` of them at a time."""
        drafts = deque(ready.drafts)
        images = ready.images
        ready.images = []
        tasks: set[asyncio.Task[None]] = set()
        try:
            if self.capabilities.prefix_caching:
                while drafts:
                    first_token = asyncio.Event()
                    leader = asyncio.create_task(
                        self._ask(drafts.popleft(), images, pool, first_token.set)
                    )
                    tasks.add(leader)
                    token = asyncio.create_task(first_token.wait())
                    try:
                        await asyncio.wait({leader, token}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        token.cancel()
                    if first_token.is_set():
                        break
                    # The leader was refused or failed before its prefill: the next one leads.
                    _raise_failed(tasks)
                # The engine was sent the leader's images and holds them under their uuids.
                images = [None] * len(images)
            while drafts or tasks:
                while drafts and len(tasks) < width:
                    follower = self._ask(drafts.popleft(), images, pool, None)
                    tasks.add(asyncio.create_task(follower))
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                _raise_failed(tasks)
        finally:
            await _cancel(tasks)

    async def _ask(
        self,
        draft: Draft,
        images: Sequence[Any],
        pool: Executor,
        on_first_token: Callable[[], None] | None,
    ) -> None:
        timed = Timed(self._answer(draft, images, pool, on_first_token))
        if self.slots is None:
            answer = await timed
        else:
            async with self.slots:
                answer = await timed
        with_image = bool(images) and images[0] is not None
        self.stats.note_blocking(timed.seconds, with_image)
        self._report(answer)

    async def _answer(
        self,
        draft: Draft,
        images: Sequence[Any],
        pool: Executor,
        on_first_token: Callable[[], None] | None,
    ) -> Answer:
        request = draft.request
        self.in_flight += 1
        self.stats.peak_requests = max(self.stats.peak_requests, self.in_flight)
        try:
            try:
                output = await self._generate(draft, images, pool, on_first_token)
            except ImageNotCached:
                loop = asyncio.get_running_loop()
                again, _ = await loop.run_in_executor(
                    pool, read_images, request.images, self.prepare
                )
                self.stats.images_resent += len(again)
                output = await self._generate(draft, again, pool, on_first_token)
        except RequestRefused as refusal:
            return _refused(request, refusal)
        except (EngineDied, UserError, asyncio.CancelledError):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            return Answer(index=request.index, text="", finish_reason="error", error=reason)
        finally:
            self.in_flight -= 1
        if on_first_token is not None:
            on_first_token()  # for engines that do not stream
        return _answered(request, output)

    async def _generate(
        self,
        draft: Draft,
        images: Sequence[Any],
        pool: Executor,
        on_first_token: Callable[[], None] | None,
    ) -> EngineOutput:
        if self.capabilities.token_prompts:
            prompt = self.builder.prompt(draft, images)
        else:
            loop = asyncio.get_running_loop()
            prompt = await loop.run_in_executor(pool, self.builder.prompt, draft, images)
        return await self.engine.generate(prompt, self.sampling, on_first_token)

    def _report(self, answer: Answer) -> None:
        self.stats.note_answer(answer)
        self.on_answer(answer)


def _answered(request: Request, output: EngineOutput) -> Answer:
    return Answer(
        index=request.index,
        text=output.text,
        finish_reason="length" if output.finish_reason == "length" else "stop",
        prompt_tokens=output.prompt_tokens,
        cached_tokens=output.cached_tokens,
        output_tokens=(
            len(output.token_ids) if output.output_tokens is None else output.output_tokens
        ),
        first_token_seconds=output.first_token_seconds,
        seconds=output.seconds,
        reasoning=output.reasoning,
    )


def _refused(request: Request, refusal: RequestRefused) -> Answer:
    return Answer(index=request.index, text="", finish_reason="refused", error=str(refusal))


def _raise_failed(tasks: set[asyncio.Task[None]]) -> None:
    """Drops the tasks that are done; raises the error of one that failed."""
    done = {task for task in tasks if task.done()}
    tasks -= done
    # All errors are looked at, lest asyncio reports the others as never retrieved.
    errors = [error for task in done if (error := task.exception()) is not None]
    if errors:
        raise errors[0]


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels what runs, and waits for all; errors that come now have an earlier one to thank."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
