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

from pixtrack.tasks.inference.engines.base import EnginePrompt, ImageNotCached

REUSED_BYTES = 1 << 26
"""Largest buffer that a worker thread reuses: allocating fresh memory costs more than a copy."""


@dataclass(frozen=True)
class ReadyImage:
    """The result of `prepare`: the same item that vLLM's own processor makes of the image."""

    item: Any


class MistralFrontEnd:
    """Makes engine inputs for one AsyncLLM.

    `prepare` may run in any thread, `engine_input` only in the engine's event loop.
    """

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

    @classmethod
    def of(cls, renderer: Any, dtype: Any) -> MistralFrontEnd | None:
        """The front end, if it makes exactly what this vLLM's processor makes of a trial image.

        None for models that are not Pixtral in Mistral format, for a vLLM with unknown internals,
        and where the processor cache is off.
        """
        try:
            made = cls(renderer, dtype)
            agrees = made.agrees()
        except (ImportError, AttributeError, TypeError, KeyError, AssertionError):
            return None
        return made if agrees else None

    def agrees(self) -> bool:
        """Whether pixels and placeholders of a trial image equal those of vLLM's own processor."""
        import numpy as np
        import torch
        from PIL import Image

        if type(self._processor).__name__ != "PixtralMultiModalProcessor":
            return False
        if self._renderer.mm_processor_cache is None:
            return False
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
        return bool(
            item is not None
            and set(ours) == set(item)
            and all(torch.equal(ours[key].data, item[key].data) for key in item)
            and (placeholder.offset, placeholder.length) == (expected.offset, expected.length)
            and torch.equal(placeholder.is_embed, expected.is_embed)
            and theirs["prompt_token_ids"] == [1, *ids]
        )

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
        """The engine input of a prompt, as vLLM itself would render it.

        Call it in the event loop, and send the input before the next one is made: vLLM's two
        caches, here and in the engine core, must see the images in the same order. Raises
        ImageNotCached for an image that is left out and that the engine core no longer has.
        """
        from vllm.multimodal.inputs import MultiModalKwargsItems

        assert prompt.token_ids is not None
        cache = self._renderer.mm_processor_cache
        missing = [
            uuid
            for image, uuid in zip(prompt.images, prompt.image_uuids, strict=True)
            if image is None and not cache.is_cached_item(uuid)
        ]
        if missing:
            raise ImageNotCached(f"images {', '.join(missing)} are no longer cached")
        items = []
        for image, uuid in zip(prompt.images, prompt.image_uuids, strict=True):
            # The second of the pair is for prompts that vLLM renders itself.
            sent: Any = None if image is None else (image.item, [])
            items.append(cache.get_and_update_item(sent, uuid)[0])
        getattr(cache, "release_sender_touches", lambda: None)()
        return {
            "type": "multimodal",
            "prompt_token_ids": list(prompt.token_ids),
            "mm_kwargs": MultiModalKwargsItems({"image": items}),
            "mm_hashes": {"image": list(prompt.image_uuids)},
            "mm_placeholders": {"image": self._placeholders(prompt.token_ids)},
        }

    def forget(self, prompt: EnginePrompt) -> None:
        """After a prompt that failed: records that the engine core did not get its images."""
        cache = self._renderer.mm_processor_cache
        for image, uuid in zip(prompt.images, prompt.image_uuids, strict=True):
            if image is not None and hasattr(cache, "invalidate"):
                cache.invalidate(uuid)
            elif image is not None:
                cache._cache.pop(uuid, None)

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
