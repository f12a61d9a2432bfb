"""Prepares the images of Mistral-format models for vLLM outside of its event loop.

vLLM processes images one after the other in a single thread; up to 0.24 it does so in the event
loop, where every answer waits meanwhile. Here the pixels are resized and normalised in the
schedule's worker threads, with mistral_common's own arithmetic. A follower's prompt is made without
processing pixels: it names its image by uuid, and vLLM's own sender cache says whether the engine
core still has it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pixtrack.tasks.inference.engines.base import EnginePrompt
from pixtrack.tasks.inference.engines.front_ends.base import (
    Disagrees,
    drop_from_cache,
    through_cache,
)

REUSED_BYTES = 1 << 26
"""Largest buffer that a worker thread reuses: allocating fresh memory costs more than a copy."""


@dataclass(frozen=True)
class ReadyImage:
    """The result of `prepare`: the same item that vLLM's own processor makes of the image."""

    item: Any


class MistralFrontEnd:
    """The front end for Pixtral in Mistral format."""

    def __init__(self, renderer: Any, dtype: Any) -> None:
        import cv2
        import torch
        from mistral_common.tokens.tokenizers import image as arithmetic

        self._renderer = renderer
        self._processor = renderer.get_mm_processor()
        hf_processor = self._processor.info.get_hf_processor()
        self._encoder = hf_processor.image_processor.mm_encoder
        self._config = self._encoder.mm_config
        self._ids = self._encoder.special_ids
        self._dtype = dtype
        self._arithmetic = arithmetic
        self._local = threading.local()
        # Several images are processed at once, one thread each.
        cv2.setNumThreads(1)
        torch.set_num_threads(1)

    def prove(self) -> None:
        """Compares a trial image's pixels and placeholder with those of vLLM's own processor."""
        import numpy as np
        import torch
        from PIL import Image

        name = type(self._processor).__name__
        if name != "PixtralMultiModalProcessor":
            raise Disagrees(f"the model's processor is {name}, not Pixtral's")
        size = (self._config.max_image_size + 37, self._config.image_patch_size * 3 + 5)
        noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        image = Image.fromarray(noise)
        columns, rows = self._encoder._image_to_num_tokens(image)
        ids = ([self._ids.img] * columns + [self._ids.img_break]) * rows
        ids[-1] = self._ids.img_end
        prompt = {
            "prompt_token_ids": [1, *ids],
            "multi_modal_data": {"image": image},
            "multi_modal_uuids": {"image": "pixtrack-trial-image"},
        }
        (theirs,) = self._renderer.render_cmpl([prompt], skip_mm_cache=True)
        ours = self.prepare(image).item
        placeholder = self._placeholder(1, tuple(ids))
        (expected,) = theirs["mm_placeholders"]["image"]
        (item,) = theirs["mm_kwargs"]["image"]
        same = (
            item is not None
            and set(ours) == set(item)
            and all(torch.equal(ours[key].data, item[key].data) for key in item)
            and (placeholder.offset, placeholder.length) == (expected.offset, expected.length)
            and torch.equal(placeholder.is_embed, expected.is_embed)
            and theirs["prompt_token_ids"] == [1, *ids]
        )
        if not same:
            raise Disagrees("a trial image's pixels or places differ from vLLM's own")

    def prepare(self, image: Any) -> ReadyImage:
        """Resizes and normalises an RGB image as the model needs it."""
        import cv2
        import numpy as np
        import torch
        from vllm.multimodal.inputs import MultiModalKwargsItems

        columns, rows = self._encoder._image_to_num_tokens(image)
        unit = self._config.image_patch_size * getattr(self._config, "spatial_merge_size", 1)
        pixels = np.asarray(image)
        floats = self._buffer(pixels.size).reshape(pixels.shape)
        np.copyto(floats, pixels)
        # As mistral_common.tokens.tokenizers.image.transform_image, whose conversion to float32
        # takes fresh memory for every image.
        resized = cv2.resize(floats, (columns * unit, rows * unit), interpolation=cv2.INTER_CUBIC)
        normal = self._arithmetic.normalize(
            resized, self._arithmetic.DATASET_MEAN, self._arithmetic.DATASET_STD
        )
        tensor = torch.tensor(normal).to(self._dtype)
        inputs = {"images": [tensor]}
        fields = self._processor._get_mm_fields_config(inputs, {})
        items = MultiModalKwargsItems.from_hf_inputs(inputs, fields)
        return ReadyImage(items["image"][0])

    def engine_input(self, prompt: EnginePrompt) -> Any:
        """See `FrontEnd.engine_input`."""
        from vllm.multimodal.inputs import MultiModalKwargsItems

        assert prompt.token_ids is not None
        sent = [None if image is None else (image.item, None) for image in prompt.images]
        cached = through_cache(self._renderer.mm_processor_cache, prompt, sent)
        return {
            "type": "multimodal",
            "prompt_token_ids": list(prompt.token_ids),
            "mm_kwargs": MultiModalKwargsItems({"image": [item for item, _ in cached]}),
            "mm_hashes": {"image": list(prompt.image_uuids)},
            "mm_placeholders": {"image": self._placeholders(prompt.token_ids)},
        }

    def forget(self, prompt: EnginePrompt) -> None:
        """See `FrontEnd.forget`."""
        drop_from_cache(self._renderer.mm_processor_cache, prompt)

    def _placeholders(self, ids: tuple[int, ...]) -> list[Any]:
        found: list[Any] = []
        end = 0
        while True:
            try:
                start = ids.index(self._ids.img, end)
            except ValueError:
                return found
            end = ids.index(self._ids.img_end, start) + 1
            found.append(self._placeholder(start, ids[start:end]))

    def _placeholder(self, start: int, ids: tuple[int, ...]) -> Any:
        from vllm.multimodal.inputs import PlaceholderRange

        # The mask depends on the grid alone: patches to a row (up to the first break) and rows.
        columns = next(i for i, token in enumerate(ids) if token != self._ids.img)
        return PlaceholderRange(
            offset=start, length=len(ids), is_embed=_embed_mask(columns, len(ids))
        )

    def _buffer(self, values: int) -> Any:
        import numpy as np

        if values * 4 > REUSED_BYTES:
            return np.empty(values, dtype=np.float32)
        kept = getattr(self._local, "buffer", None)
        if kept is None or kept.size < values:
            kept = self._local.buffer = np.empty(values, dtype=np.float32)
        return kept[:values]


@lru_cache(maxsize=1024)
def _embed_mask(columns: int, length: int) -> Any:
    """A mask of the image's tokens that stand for patches: all but the last of each row."""
    import torch

    return torch.arange(length) % (columns + 1) != columns
