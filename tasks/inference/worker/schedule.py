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
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
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
from pixtrack.tasks.inference.worker.fitting import fitting_draft
from pixtrack.tasks.inference.worker.group_run import GroupRun, cancel, either, raise_failed
from pixtrack.tasks.inference.worker.grouping import (
    Branch,
    GroupPlan,
    TokenBudget,
    plan_group,
    plant,
)
from pixtrack.tasks.inference.worker.images import WORKERS, read_images, working_bytes
from pixtrack.tasks.inference.worker.schedule_stats import ScheduleStats
from pixtrack.tasks.records import Answer, Request
from pixtrack.tasks.runs.image_groups import (
    ImageGroup,
    distinct_images,
    group_by_image,
    image_key,
)

MEMORY_AHEAD_BYTES = 1 << 30
"""Most bytes of decoded images that wait for the engine; one image is read however large it is."""


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
    schedule = _Schedule(engine, capabilities, sampling, builder, on_answer, max_groups)
    return await schedule.run(group_by_image(requests))


@dataclass
class _ReadyGroup:
    """An image group whose prompts are drafted and whose images are read."""

    drafts: list[Draft] = field(default_factory=list)
    images: dict[str, Any] = field(default_factory=dict)
    """Prepared images by `image_key`; {} for engines that take chat messages."""
    shown: int = 0
    """Number of distinct images."""
    refused: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    planned: tuple[Branch, GroupPlan] | None = None
    """The group's structure and plan; None where none of its prompts can be asked."""


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
        self.examples: Draft | None = None
        """A prompt with the worked examples that all prompts of the run begin with."""
        self.examples_computed = asyncio.Event()
        self.prepare = engine.prepare_image
        self.target = builder.target_size

    async def run(self, groups: Iterable[ImageGroup]) -> ScheduleStats:
        started, thread_started = time.perf_counter(), time.thread_time()
        running: set[asyncio.Task[None]] = set()
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="images")
        try:
            async for ready in self._ready_groups(groups, pool):
                for answer in ready.refused:
                    self._report(answer)
                if ready.planned is None:
                    continue
                branch, plan = ready.planned
                await self._wait_for_room(plan, running)
                self.stats.note_group(ready.shown, plan, ready.seconds, self.budget.groups)
                ask = partial(self._ask, pool)
                leads = self.capabilities.prefix_caching
                group = GroupRun(ask, ready.images, plan.width, leads)
                task = asyncio.create_task(group.run(branch))
                leads_all = leads and self.examples is None and branch.leader.request.shots > 0
                self.examples = branch.leader if leads_all else self.examples
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
            await cancel(running)
            pool.shutdown(wait=False, cancel_futures=True)
        self.stats.seconds = time.perf_counter() - started
        self.stats.loop_seconds = time.thread_time() - thread_started
        return self.stats

    async def _ready_groups(self, groups: Iterable[ImageGroup], pool: Executor) -> Any:
        """The groups in order, each drafted and read in a worker thread before its turn."""
        loop = asyncio.get_running_loop()
        waiting = iter(groups)
        following: ImageGroup | None = next(waiting, None)
        ahead: deque[tuple[asyncio.Future[_ReadyGroup], int]] = deque()
        held = 0
        try:
            while ahead or following is not None:
                while following is not None:
                    size = working_bytes(distinct_images(following), self.target)
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
        """Drafts a group's prompts and reads its images once for all. Runs in a worker thread."""
        ready = _ReadyGroup()
        longest, answer_tokens = self.capabilities.max_model_len, self.sampling.max_tokens
        for request in group:
            try:
                ready.drafts.append(fitting_draft(request, self.builder, longest, answer_tokens))
            except RequestRefused as refusal:
                ready.refused.append(_refused(request, refusal))
        # Chat messages contain the image files, which are read when the prompt is made.
        if self.capabilities.token_prompts:
            self._read_images(ready)
        if ready.drafts:
            branch = plant(ready.drafts)
            plan = plan_group(branch, answer_tokens, self.capabilities, self.examples)
            ready.planned = branch, plan
            ready.shown = len(distinct_images(draft.request for draft in ready.drafts))
        return ready

    def _read_images(self, ready: _ReadyGroup) -> None:
        """Reads the images of the group; the questions on a bad image are refused."""
        bad: dict[str, RequestRefused] = {}
        for image in distinct_images(draft.request for draft in ready.drafts):
            try:
                (pixels,), seconds = read_images([image], self.prepare)
                ready.images[image_key(image)] = pixels
                ready.seconds += seconds
            except RequestRefused as refusal:
                bad[image_key(image)] = refusal
        if not bad:
            return
        asked = ready.drafts
        ready.drafts = []
        for draft in asked:
            refusals = [bad[key] for one in draft.request.images if (key := image_key(one)) in bad]
            if refusals:
                ready.refused.append(_refused(draft.request, refusals[0]))
            else:
                ready.drafts.append(draft)

    async def _wait_for_room(self, plan: GroupPlan, running: set[asyncio.Task[None]]) -> None:
        while not self.budget.take(plan):
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            raise_failed(running)

    def _group_done(self, plan: GroupPlan, _task: asyncio.Task[None]) -> None:
        self.budget.give_back(plan)

    async def _ask(
        self,
        pool: Executor,
        draft: Draft,
        images: Sequence[Any],
        on_first_token: Callable[[], None] | None,
    ) -> None:
        timed = Timed(self._answer(draft, images, pool, self._noting(on_first_token)))
        if self.slots is None:
            answer = await timed
        else:
            async with self.slots:
                answer = await timed
        with_image = any(image is not None for image in images)
        self.stats.note_blocking(timed.seconds, with_image)
        self._report(answer)

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


def _refused(request: Request, refusal: RequestRefused) -> Answer:
    return Answer(
        index=request.index,
        text="",
        finish_reason="refused",
        error=str(refusal),
        left_out=request.left_out,
    )
