"""The order and concurrency in which an engine is fed: leader and followers, one group an image.

Prefix caching helps only once the first prefill of an image has finished: questions on one image
that are submitted together each compute the whole image. So one question of an image group, the
leader, is asked first; when its first token arrives, its images are in the KV cache, and the
followers are asked all at once. The questions on a document are such a group, whose pages are
computed once.

As many groups are in flight as fit in the KV cache by the prompts' token counts, and no more:
otherwise the engine would evict what the followers need. Images are read and prepared in worker
threads before their group's turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
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
from pixtrack.tasks.inference.worker.group_run import GroupRun, cancel, either, raise_failed
from pixtrack.tasks.inference.worker.grouping import Branch, GroupPlan, TokenBudget
from pixtrack.tasks.inference.worker.images import WORKERS, read_images
from pixtrack.tasks.inference.worker.lots import ListSource, Lot, Source
from pixtrack.tasks.inference.worker.reading import GroupReader, ReadAhead, refused
from pixtrack.tasks.inference.worker.schedule_stats import ScheduleStats
from pixtrack.tasks.records import Answer, Request
from pixtrack.tasks.runs.image_groups import group_by_image, image_key


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
    """Asks every request once.

    A request that cannot be asked (too long, damaged image) gets a `refused` answer, and one at
    which the engine fails an `error` answer; neither stops the others. EngineDied, a UserError, an
    error of `on_answer`, and cancellation end the schedule, after the requests in flight have been
    cancelled.

    Args:
        engine: the started engine
        capabilities: what it can do
        requests: the requests
        sampling: how answers are generated
        builder: makes the prompts
        on_answer: called with each answer, in order of completion
        max_groups: a limit of image groups in flight besides that of the KV cache
    """
    schedule = Schedule(engine, capabilities, builder, on_answer, max_groups)
    lots = (Lot(group, sampling) for group in group_by_image(requests))
    return await schedule.run(ListSource(lots))


class Schedule:
    """Asks the lots of a source. `on_start` and `on_asked` may be set before it runs."""

    def __init__(
        self,
        engine: Engine,
        capabilities: Capabilities,
        builder: PromptBuilder,
        on_answer: Callable[[Answer], None],
        max_groups: int | None = None,
    ) -> None:
        self.engine = engine
        self.capabilities = capabilities
        self.builder = builder
        self.on_answer = on_answer
        self.on_start: Callable[[Lot], None] | None = None
        """Is told of a lot for which there is room now: its leader goes to the engine."""
        self.on_asked: Callable[[int], None] | None = None
        """Is told the index of a request that goes to the engine."""
        self.stats = ScheduleStats()
        self.budget = TokenBudget(capabilities, max_groups)
        limit = capabilities.max_concurrency
        self.slots = asyncio.Semaphore(limit) if limit else None
        self.in_flight = 0
        self.examples: Draft | None = None
        """A prompt with the worked examples that all prompts of the run begin with."""
        self.examples_computed = asyncio.Event()
        self.prepare = engine.prepare_image
        self._ahead: ReadAhead | None = None
        self._source: Source | None = None

    async def run(self, source: Source) -> ScheduleStats:
        """Asks every lot of the source, until its end; raises as `run_schedule` does."""
        started, thread_started = time.perf_counter(), time.thread_time()
        running: set[asyncio.Task[None]] = set()
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="images")
        reader = GroupReader(self.engine, self.capabilities, self.builder)
        self._source = source
        self._ahead = ahead = ReadAhead(source, reader, pool)
        try:
            while (ready := await ahead.next(running)) is not None:
                for answer in ready.refused:
                    self._report(answer)
                if ready.planned is None:
                    self._note_start(ready.lot)
                    continue
                branch, plan = ready.planned
                await self._wait_for_room(plan, running)
                self._note_start(ready.lot)
                self.stats.note_group(ready.shown, plan, ready.seconds, self.budget.groups)
                ask = partial(self._ask, pool, ready.lot.sampling)
                leads = self.capabilities.prefix_caching
                group = GroupRun(ask, ready.images, plan.width, leads)
                task = asyncio.create_task(group.run(branch))
                leads_all = leads and self._has_new_examples(branch.leader)
                if leads_all:
                    self.examples = reader.examples = branch.leader
                    self.examples_computed.clear()
                returned = _without_leader(branch, plan) if leads_all else plan
                task.add_done_callback(partial(self._group_done, returned))
                running.add(task)
                if leads_all:
                    # The worked examples are computed once, before the other groups.
                    await either(task, self.examples_computed)
                    self.examples_computed.set()
                del ready, group  # their pixels belong to the task now
                raise_failed(running)
            while running:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                raise_failed(running)
        finally:
            ahead.close()
            await cancel(running)
            pool.shutdown(wait=False, cancel_futures=True)
        self.stats.seconds = time.perf_counter() - started
        self.stats.loop_seconds = time.thread_time() - thread_started
        return self.stats

    def give_back(self, most: int) -> list[Lot]:
        """Forgets and returns up to `most` lots that have not had their turn, the last first."""
        given: list[Lot] = []
        while len(given) < most:
            lot = self._source.give_back() if self._source else None
            if lot is None and self._ahead is not None:
                lot = self._ahead.give_back()
            if lot is None:
                break
            given.append(lot)
        return given

    def _note_start(self, lot: Lot) -> None:
        if self.on_start is not None:
            self.on_start(lot)

    async def _wait_for_room(self, plan: GroupPlan, running: set[asyncio.Task[None]]) -> None:
        while not self.budget.take(plan):
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            raise_failed(running)

    def _group_done(self, plan: GroupPlan, _task: asyncio.Task[None]) -> None:
        self.budget.give_back(plan)

    async def _ask(
        self,
        pool: Executor,
        sampling: Sampling,
        draft: Draft,
        images: Sequence[Any],
        on_first_token: Callable[[], None] | None,
    ) -> None:
        noted = self._noting(on_first_token)
        generate = partial(self._generate, draft, pool, sampling, noted)
        timed = Timed(self._answer(draft, images, pool, generate, noted))
        if self.slots is None:
            answer = await timed
        else:
            async with self.slots:
                answer = await timed
        with_image = any(image is not None for image in images)
        self.stats.note_blocking(timed.seconds, with_image)
        self._report(answer)

    def _has_new_examples(self, draft: Draft) -> bool:
        """Whether the prompt begins with worked examples other than those computed last."""
        return draft.request.shots > 0 and (
            self.examples is None or _examples(self.examples) != _examples(draft)
        )

    def _noting(self, on_first_token: Callable[[], None] | None) -> Callable[[], None] | None:
        """With a note that the worked examples are computed."""
        if self.examples is None or self.examples_computed.is_set():
            return on_first_token

        def noted() -> None:
            self.examples_computed.set()
            if on_first_token is not None:
                on_first_token()

        return noted

    async def _answer(
        self,
        draft: Draft,
        images: Sequence[Any],
        pool: Executor,
        generate: Callable[[Sequence[Any]], Awaitable[EngineOutput]],
        on_first_token: Callable[[], None] | None,
    ) -> Answer:
        request = draft.request
        if self.on_asked is not None:
            self.on_asked(request.index)
        self.in_flight += 1
        self.stats.peak_requests = max(self.stats.peak_requests, self.in_flight)
        try:
            try:
                output = await generate(images)
            except ImageNotCached:
                loop = asyncio.get_running_loop()
                again, _ = await loop.run_in_executor(
                    pool, read_images, request.images, self.prepare
                )
                self.stats.images_resent += len(again)
                output = await generate(again)
        except RequestRefused as refusal:
            return refused(request, refusal)
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
        pool: Executor,
        sampling: Sampling,
        on_first_token: Callable[[], None] | None,
        images: Sequence[Any],
    ) -> EngineOutput:
        if self.capabilities.token_prompts:
            prompt = self.builder.prompt(draft, images)
        else:
            loop = asyncio.get_running_loop()
            prompt = await loop.run_in_executor(pool, self.builder.prompt, draft, images)
        return await self.engine.generate(prompt, sampling, on_first_token)

    def _report(self, answer: Answer) -> None:
        self.stats.note_answer(answer)
        self.on_answer(answer)


def _examples(draft: Draft) -> tuple[Any, ...]:
    """What tells worked examples from others."""
    request = draft.request
    images = [image_key(image) for image in request.images[: request.shot_images]]
    return request.system, request.turns[: request.shots], images


def _without_leader(branch: Branch, plan: GroupPlan) -> GroupPlan:
    """What the first group gives back: its leader's prompt stays, with the examples in it."""
    kept = min(plan.reserved, branch.leader.prompt_tokens or 0)
    return replace(plan, reserved=plan.reserved - kept)


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
        left_out=request.left_out,
    )
