"""Prepares groups before their turn, in worker threads: drafts prompts and reads images."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from pixtrack.tasks.inference.engines.base import Capabilities, Engine, RequestRefused
from pixtrack.tasks.inference.prompts.base import Draft, PromptBuilder
from pixtrack.tasks.inference.worker.fitting import fitting_draft
from pixtrack.tasks.inference.worker.group_run import raise_failed
from pixtrack.tasks.inference.worker.grouping import Branch, GroupPlan, plan_group, plant
from pixtrack.tasks.inference.worker.images import WORKERS, read_images, working_bytes
from pixtrack.tasks.inference.worker.lots import Lot, Source
from pixtrack.tasks.records import Answer, Request
from pixtrack.tasks.runs.image_groups import distinct_images, image_key

MEMORY_AHEAD_BYTES = 1 << 30
"""Most bytes of decoded images that wait for the engine; one image is read however large it is."""


@dataclass
class ReadyGroup:
    """An image group whose prompts are drafted and whose images are read."""

    lot: Lot
    drafts: list[Draft] = field(default_factory=list)
    images: dict[str, Any] = field(default_factory=dict)
    """Prepared images by `image_key`; {} for engines that take chat messages."""
    shown: int = 0
    """Number of distinct images."""
    refused: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    planned: tuple[Branch, GroupPlan] | None = None
    """The group's structure and plan; None where none of its prompts can be asked."""


class GroupReader:
    """Makes one group ready; used from several threads."""

    def __init__(self, engine: Engine, capabilities: Capabilities, builder: PromptBuilder) -> None:
        self._capabilities = capabilities
        self._builder = builder
        self._prepare = engine.prepare_image
        self.examples: Draft | None = None
        """A prompt with the worked examples that the groups begin with, if with any."""

    def memory(self, lot: Lot) -> int:
        """The bytes that reading the lot's images takes at most."""
        return working_bytes(distinct_images(lot.requests), self._builder.target_size)

    def read(self, lot: Lot) -> ReadyGroup:
        """Drafts a group's prompts and reads its images once for all. Runs in a worker thread."""
        ready = ReadyGroup(lot)
        longest, answer_tokens = self._capabilities.max_model_len, lot.sampling.max_tokens
        for request in lot.requests:
            try:
                ready.drafts.append(fitting_draft(request, self._builder, longest, answer_tokens))
            except RequestRefused as refusal:
                ready.refused.append(refused(request, refusal))
        # Chat messages contain the image files, which are read when the prompt is made.
        if self._capabilities.token_prompts:
            self._read_images(ready)
        if ready.drafts:
            branch = plant(ready.drafts)
            plan = plan_group(branch, answer_tokens, self._capabilities, self.examples)
            ready.planned = branch, plan
            ready.shown = len(distinct_images(draft.request for draft in ready.drafts))
        return ready

    def _read_images(self, ready: ReadyGroup) -> None:
        """Reads the images of the group; the questions on a bad image are refused."""
        bad: dict[str, RequestRefused] = {}
        for image in distinct_images(draft.request for draft in ready.drafts):
            try:
                (pixels,), seconds = read_images([image], self._prepare)
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
                ready.refused.append(refused(draft.request, refusals[0]))
            else:
                ready.drafts.append(draft)


class ReadAhead:
    """A source's groups in order, several of them being made ready ahead of their turn."""

    def __init__(self, source: Source, reader: GroupReader, pool: Executor) -> None:
        self._source = source
        self._reader = reader
        self._pool = pool
        self._ahead: deque[tuple[asyncio.Future[ReadyGroup], int, Lot]] = deque()
        self._held = 0
        self._following: Lot | None = None
        """Taken from the source; there is no room for it yet."""
        self._coming: asyncio.Future[None] | None = None

    async def next(self, running: set[asyncio.Task[None]]) -> ReadyGroup | None:
        """The next group, ready; None after the last.

        Raises the error of a `running` task that fails meanwhile; those that end are taken out.
        """
        while True:
            self._fill()
            if self._ahead and self._ahead[0][0].done():
                future, size, _ = self._ahead.popleft()
                self._held -= size
                return future.result()
            if not self._ahead and self._source.ended:
                return None
            waited: set[asyncio.Future[Any]] = {*running}
            if self._ahead:
                waited.add(self._ahead[0][0])
            if not self._source.ended:
                if self._coming is None:
                    self._coming = asyncio.ensure_future(self._source.changed())
                waited.add(self._coming)
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._coming is not None and self._coming.done():
                self._coming = None
            raise_failed(running)

    def give_back(self) -> Lot | None:
        """The lot that came last, if its turn has not come; it is forgotten here."""
        if self._following is not None:
            lot, self._following = self._following, None
            return lot
        if not self._ahead:
            return None
        future, size, lot = self._ahead.pop()
        future.cancel()
        self._held -= size
        return lot

    def close(self) -> None:
        """Forgets whatever has not had its turn."""
        for future, _, _ in self._ahead:
            future.cancel()
        if self._coming is not None:
            self._coming.cancel()

    def _fill(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self._following is None:
                self._following = self._source.take()
            if self._following is None:
                return
            lot = self._following
            size = self._reader.memory(lot)
            crowded = self._held + size > MEMORY_AHEAD_BYTES or len(self._ahead) >= 4 * WORKERS
            if self._ahead and crowded:
                return
            future = loop.run_in_executor(self._pool, self._reader.read, lot)
            self._ahead.append((future, size, lot))
            self._held += size
            self._following = None


def refused(request: Request, refusal: RequestRefused) -> Answer:
    """The answer to a request that the engine refuses for good."""
    return Answer(
        index=request.index,
        text="",
        finish_reason="refused",
        error=str(refusal),
        left_out=request.left_out,
    )
