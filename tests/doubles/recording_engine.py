"""An engine that answers at once and remembers how it was driven."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from PIL import Image

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.engines.base import (
    Capabilities,
    EngineOutput,
    EnginePrompt,
    ImageNotCached,
)
from pixtrack.tasks.inference.prompts.base import Draft
from pixtrack.tasks.records import ImageRef, Request


def capabilities(**changes: Any) -> Capabilities:
    """Those of a small engine, with these fields changed."""
    defaults: dict[str, Any] = {
        "token_prompts": True,
        "kv_cache_tokens": 10_000,
        "max_model_len": 1000,
        "prefix_caching": True,
        "details": {"block_size": 16},
    }
    return Capabilities(**{**defaults, **changes})


def images(folder: Path, number: int, size: tuple[int, int] = (40, 30)) -> list[ImageRef]:
    """Grey images, each with a content of its own, written to the folder."""
    made = []
    for i in range(number):
        path = folder / f"{i}.png"
        Image.new("RGB", size, (i, i, i)).save(path)
        made.append(ImageRef(f"hash{i}", str(path), *size))
    return made


def requests(
    refs: Sequence[ImageRef], questions: int, texts: Sequence[str] | None = None
) -> list[Request]:
    """`questions` on each image, image by image."""
    return [
        Request(index, (ref,), (f"question {index}" if texts is None else texts[index],))
        for index, ref in enumerate(ref for ref in refs for _ in range(questions))
    ]


class PlainBuilder:
    """A prompt is [1], 100 tokens for each image, the texts' characters where they stand, [2]."""

    image_tokens = 100

    def target_size(self, width: int, height: int) -> None:
        return None

    def draft(self, request: Request) -> Draft:
        parts = [part for turn in request.layout for part in turn]
        ids = [1]
        for part in parts:
            ids += [-1] if part is None else [ord(letter) for letter in part]
        ids.append(2)
        places = tuple((i, self.image_tokens) for i, token in enumerate(ids) if token == -1)
        tokens = self.image_tokens * len(places)
        return Draft(request, len(ids) - len(places) + tokens, tokens, tuple(ids), places=places)

    def prompt(self, draft: Draft, images: Sequence[Any]) -> EnginePrompt:
        return EnginePrompt(
            str(draft.request.index),
            token_ids=draft.token_ids,
            images=tuple(images),
            image_uuids=tuple(image.sha256 for image in draft.request.images),
        )


@dataclass
class RecordingEngine:
    """Checks as it goes: which prompts wait for which, how many are in flight, what is held."""

    prefill_seconds: float = 0.002
    decode_seconds: float = 0.002
    caches_images: bool = True
    streams: bool = True
    fail: dict[str, Exception] = field(default_factory=dict)
    """Request id to what `generate` raises for it, once."""
    events: list[tuple[str, str]] = field(default_factory=list)
    groups_in_flight: Counter[str] = field(default_factory=Counter)
    peak_groups: int = 0
    peak_requests: int = 0
    in_flight: int = 0
    cached: set[str] = field(default_factory=set)
    sent_images: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0
    retried: int = 0

    async def start(self) -> NoReturn:
        raise AssertionError

    async def close(self) -> NoReturn:
        raise AssertionError

    def prepare_image(self, image: Image.Image) -> tuple[str, tuple[int, int]]:
        return ("prepared", image.size)

    async def generate(
        self,
        prompt: EnginePrompt,
        sampling: Sampling,
        on_first_token: Callable[[], None] | None = None,
    ) -> EngineOutput:
        self.events.append(("submitted", prompt.request_id))
        if (error := self.fail.pop(prompt.request_id, None)) is not None:
            raise error
        for image, uuid in zip(prompt.images, prompt.image_uuids, strict=True):
            if image is None and uuid not in self.cached:
                raise ImageNotCached(uuid)
            if image is not None:
                assert image[0] == "prepared"
                self.sent_images[uuid] += 1
                if self.caches_images:
                    self.cached.add(uuid)
        uuid = prompt.image_uuids[0] if prompt.image_uuids else ""
        self.groups_in_flight[uuid] += 1
        self.in_flight += 1
        self.peak_groups = max(self.peak_groups, sum(n > 0 for n in self.groups_in_flight.values()))
        self.peak_requests = max(self.peak_requests, self.in_flight)
        try:
            await asyncio.sleep(self.prefill_seconds)
            self.events.append(("first token", prompt.request_id))
            if on_first_token is not None and self.streams:
                on_first_token()
            await asyncio.sleep(self.decode_seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1
            self.groups_in_flight[uuid] -= 1
        self.events.append(("done", prompt.request_id))
        return EngineOutput(
            text=f"answer {prompt.request_id}",
            finish_reason="length" if prompt.request_id == "7" else "stop",
            token_ids=(5, 6),
            prompt_tokens=len(prompt.token_ids or ()) + 99,
            cached_tokens=0,
            first_token_seconds=self.prefill_seconds,
            seconds=self.prefill_seconds + self.decode_seconds,
        )

    def moment(self, event: str, request_id: int) -> int:
        """The place of the event among all that happened."""
        return self.events.index((event, str(request_id)))
