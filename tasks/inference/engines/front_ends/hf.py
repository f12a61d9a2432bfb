"""Images of Hugging Face models for vLLM, made ready in several threads by vLLM's own processor.

vLLM runs a model's processor in one thread, one image after the other: a page of 1700×2200 pixels
takes Qwen2.5-VL's 0.3 s, longer than an H100 takes to answer about it. The processor works on each
image by itself, so here it is run in the schedule's worker threads, one image a call; most of the
time is torch's, which leaves the interpreter to others. The prompt is then put together from its
text and what the processor made of the images: for a follower without any work on pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pixtrack.tasks.inference.engines.base import EnginePrompt
from pixtrack.tasks.inference.engines.front_ends.base import (
    Disagrees,
    drop_from_cache,
    through_cache,
)

TRIAL_SIZES = ((333, 250), (190, 410))
"""Width and height of the trial images: wide and high, and no multiple of any patch."""


@dataclass(frozen=True)
class Expansion:
    """What the processor puts in place of an image's one id."""

    ids: tuple[int, ...]
    offset: int
    length: int
    is_embed: Any
    """Which of the `length` ids from `offset` stand for the image's embeddings; None: all."""


@dataclass(frozen=True)
class ReadyImage:
    """What vLLM's processor made of one image."""

    item: Any
    expansion: Expansion


class HfFrontEnd:
    """The front end for every model whose processor replaces one id an image."""

    def __init__(self, renderer: Any, dtype: Any) -> None:  # noqa: ARG002
        import torch
        from vllm.multimodal import MULTIMODAL_REGISTRY

        self._renderer = renderer
        # Without a cache: vLLM's caches must be passed in the order in which prompts are sent.
        self._processor = MULTIMODAL_REGISTRY.create_processor(
            renderer.model_config, tokenizer=renderer.tokenizer
        )
        token = getattr(self._processor.info.get_hf_processor(), "image_token", None) or "<image>"
        image_id = renderer.tokenizer.convert_tokens_to_ids(token)
        if image_id is None or image_id == getattr(renderer.tokenizer, "unk_token_id", None):
            raise Disagrees(f"the model's tokenizer has no token {token} for an image")
        self._image_id = int(image_id)
        # Several images are processed at once, one thread each.
        torch.set_num_threads(1)

    def prove(self) -> None:
        """Renders trial images as vLLM does and as this does: each alone, then between words."""
        import numpy as np
        from PIL import Image

        random = np.random.default_rng(0)
        limit = self._renderer.model_config.multimodal_config.get_limit_per_prompt("image")
        images = [
            Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
            for width, height in TRIAL_SIZES[:limit]
        ]
        ready = [self.prepare(image) for image in images]
        for image, one in zip(images, ready, strict=True):
            # By itself: some processors pad the images of one call to the largest.
            theirs = self._rendered_by_vllm([self._image_id], [image])
            if not _same_item(one.item, theirs["mm_kwargs"]["image"][0]):
                raise Disagrees("a trial image's pixels differ from vLLM's own")
        words = self._renderer.tokenizer.encode("one two", add_special_tokens=False)
        ids = [token for _ in images for token in (*words, self._image_id)] + words
        theirs = self._rendered_by_vllm(ids, images)
        made, places = self._expanded(ids, [one.expansion for one in ready])
        if made != list(theirs["prompt_token_ids"]):
            raise Disagrees("a trial prompt's ids differ from vLLM's own")
        if not all(map(_same_place, places, theirs["mm_placeholders"]["image"])):
            raise Disagrees("the places of trial images differ from vLLM's own")

    def _rendered_by_vllm(self, ids: list[int], images: list[Any]) -> Any:
        prompt = {
            "prompt_token_ids": ids,
            "multi_modal_data": {"image": images},
            "multi_modal_uuids": {"image": [f"trial {len(images)} {i.size}" for i in images]},
        }
        (rendered,) = self._renderer.render_cmpl([prompt], skip_mm_cache=True)
        return rendered

    def prepare(self, image: Any) -> ReadyImage:
        """The image's pixels and ids, by vLLM's own processor."""
        from vllm.multimodal.parse import parse_mm_uuids

        made = self._processor(
            [self._image_id],
            self._processor.info.parse_mm_data({"image": image}),
            # Named, so that nobody computes its hash.
            parse_mm_uuids({"image": ["one"]}),
        )
        (item,) = made["mm_kwargs"]["image"]
        (place,) = made["mm_placeholders"]["image"]
        ids = tuple(made["prompt_token_ids"])
        return ReadyImage(item, Expansion(ids, place.offset, place.length, place.is_embed))

    def engine_input(self, prompt: EnginePrompt) -> Any:
        """See `FrontEnd.engine_input`."""
        from vllm.multimodal.inputs import MultiModalKwargsItems

        assert prompt.token_ids is not None
        sent = [None if image is None else (image.item, image.expansion) for image in prompt.images]
        cached = through_cache(self._renderer.mm_processor_cache, prompt, sent)
        ids, places = self._expanded(prompt.token_ids, [kept[0] for _, kept in cached])
        return {
            "type": "multimodal",
            "prompt_token_ids": ids,
            "mm_kwargs": MultiModalKwargsItems({"image": [item for item, _ in cached]}),
            "mm_hashes": {"image": list(prompt.image_uuids)},
            "mm_placeholders": {"image": places},
        }

    def forget(self, prompt: EnginePrompt) -> None:
        """See `FrontEnd.forget`."""
        drop_from_cache(self._renderer.mm_processor_cache, prompt)

    def _expanded(self, ids: Any, expansions: list[Expansion]) -> tuple[list[int], list[Any]]:
        """The ids with each image's one id replaced, and the places of the images."""
        from vllm.multimodal.inputs import PlaceholderRange

        made: list[int] = []
        places: list[Any] = []
        waiting = iter(expansions)
        for token in ids:
            if token != self._image_id:
                made.append(token)
                continue
            one = next(waiting)
            places.append(
                PlaceholderRange(
                    offset=len(made) + one.offset, length=one.length, is_embed=one.is_embed
                )
            )
            made += one.ids
        return made, places


def _same_place(ours: Any, theirs: Any) -> bool:
    import torch

    if (ours.offset, ours.length) != (theirs.offset, theirs.length):
        return False
    if ours.is_embed is None or theirs.is_embed is None:
        return ours.is_embed is theirs.is_embed
    return bool(torch.equal(ours.is_embed, theirs.is_embed))


def _same_item(ours: Any, theirs: Any) -> bool:
    """Whether every field is the same, in type and value."""
    return set(ours) == set(theirs) and all(
        _same_data(ours[key].data, theirs[key].data) for key in theirs
    )


def _same_data(ours: Any, theirs: Any) -> bool:
    import torch

    if torch.is_tensor(theirs):
        return (
            torch.is_tensor(ours) and ours.dtype == theirs.dtype and bool(torch.equal(ours, theirs))
        )
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(_same_data, ours, theirs))
    return bool(ours == theirs)
