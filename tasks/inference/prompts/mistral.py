"""Prompts of Mistral-format models: token ids from the texts and the images' sizes alone.

vLLM's own chat path decodes, re-encodes and resizes the image to find the prompt's ids, although
they depend on its size only. Here mistral_common encodes the conversation with one id in place of
each image, which is then replaced by the ids of an image of that size: an image of W×H pixels,
scaled down so that neither side exceeds the tokenizer's `max_image_size`, is a grid of
`image_patch_size` patches: [IMG] for each patch, [IMG_BREAK] after each row, and [IMG_END] in
place of the last break (mistral_common.tokens.tokenizers.multimodal.ImageEncoder).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.engines.base import EnginePrompt, RequestRefused
from pixtrack.tasks.inference.prompts.base import Draft, image_places
from pixtrack.tasks.records import ImageRef, Request


class MistralPrompts:
    """The builder for models with mistral_common's tokenizer (tekken.json or
    tokenizer.model.v*).
    """

    def __init__(self, model_dir: Path, max_images: int = 1, tokenizer: Path | None = None) -> None:
        from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
        from mistral_common.tokens.tokenizers.multimodal import ImageEncoding
        from numpy import zeros
        from PIL import Image

        self.max_images = max_images
        file = tokenizer or tokenizer_file(model_dir)
        self._tokenizer = MistralTokenizer.from_file(str(file))
        instruct = self._tokenizer.instruct_tokenizer
        encoder = instruct.mm_encoder
        if encoder is None:
            raise UserError(
                f"{file}: this tokenizer has no image tokens: the model is text-only: choose one that takes images"
            )
        config = encoder.mm_config
        self.patch = config.image_patch_size * getattr(config, "spatial_merge_size", 1)
        self.max_image_size = config.max_image_size
        ids = encoder.special_ids
        self.image_id, self.break_id, self.end_id = ids.img, ids.img_break, ids.img_end
        self._one_pixel = Image.new("RGB", (1, 1))
        one_id = ImageEncoding(tokens=[self.end_id], image=zeros((3, 1, 1), dtype="float32"))

        def encode_as_one_id(_chunk: Any) -> Any:
            return one_id

        # Text is never encoded to a control token, so each end id marks the place of an image.
        encode_as_one_id.special_ids = ids  # type: ignore[attr-defined]
        encode_as_one_id.image_config = config  # type: ignore[attr-defined]
        encode_as_one_id.mm_config = config  # type: ignore[attr-defined]
        instruct.image_encoder = encode_as_one_id

    def target_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height in pixels after the model's own resizing: whole patches."""
        columns, rows = self.grid(width, height)
        return columns * self.patch, rows * self.patch

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Patch columns and rows of an image; mistral_common's rounding (Python's `round`)."""
        ratio = max(height / self.max_image_size, width / self.max_image_size)
        if ratio > 1:
            width, height = max(round(width / ratio), 1), max(round(height / ratio), 1)
        return (width - 1) // self.patch + 1, (height - 1) // self.patch + 1

    def image_ids(self, width: int, height: int) -> list[int]:
        """The token ids that stand for an image of this size."""
        columns, rows = self.grid(width, height)
        ids = ([self.image_id] * columns + [self.break_id]) * rows
        ids[-1] = self.end_id
        return ids

    def image_tokens(self, image: ImageRef) -> int:
        """How many ids stand for the image."""
        columns, rows = self.grid(image.width, image.height)
        return (columns + 1) * rows

    def draft(self, request: Request) -> Draft:
        """Encodes the conversation; each image is one id, `end_id`, in `token_ids`."""
        if len(request.images) > self.max_images:
            raise RequestRefused(
                f"{len(request.images)} images, but the model is set up for {self.max_images}: "
                "raise max_images in the model's file"
            )
        ids = tuple(self._encode(request))
        counts = [self.image_tokens(image) for image in request.images]
        return Draft(
            request=request,
            prompt_tokens=len(ids) - len(counts) + sum(counts),
            image_tokens=sum(counts),
            token_ids=ids,
            places=image_places(ids, self.end_id, counts),
        )

    def prompt(self, draft: Draft, images: Sequence[Any]) -> EnginePrompt:
        """The expanded token ids with the images and their content hashes."""
        assert draft.token_ids is not None
        refs = draft.request.images
        ids: list[int] = []
        sizes = iter(refs)
        for token in draft.token_ids:
            if token == self.end_id:
                image = next(sizes)
                ids += self.image_ids(image.width, image.height)
            else:
                ids.append(token)
        return EnginePrompt(
            request_id=str(draft.request.index),
            token_ids=tuple(ids),
            images=tuple(images),
            image_uuids=tuple(image.sha256 for image in refs),
        )

    def text(self, token_ids: Sequence[int]) -> str:
        """The prompt as text, with control tokens by name."""
        from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy

        decoded = self._tokenizer.decode(
            list(token_ids), special_token_policy=SpecialTokenPolicy.KEEP
        )
        return str(decoded)

    def _encode(self, request: Request) -> list[int]:
        from mistral_common.exceptions import MistralCommonException
        from mistral_common.protocol.instruct.chunk import ImageChunk, TextChunk
        from mistral_common.protocol.instruct.messages import (
            AssistantMessage,
            SystemMessage,
            UserMessage,
        )
        from mistral_common.protocol.instruct.request import ChatCompletionRequest

        messages: list[Any] = []
        if request.system:
            messages.append(SystemMessage(content=request.system))
        for number, parts in enumerate(request.layout):
            text = request.turns[number]
            if number % 2:
                messages.append(AssistantMessage(content=text))
            elif None in parts:
                chunks: list[Any] = [
                    ImageChunk(image=self._one_pixel) if part is None else TextChunk(text=part)
                    for part in parts
                ]
                messages.append(UserMessage(content=chunks))
            else:
                messages.append(UserMessage(content=text))
        try:
            encoded = self._tokenizer.encode_chat_completion(
                ChatCompletionRequest(messages=messages)
            )
        except (AssertionError, ValueError, MistralCommonException) as error:
            raise RequestRefused(f"mistral_common refuses this conversation: {error}") from error
        return list(encoded.tokens)


def pixtral_tokenizer_file() -> Path:
    """The file of Pixtral-12B-2409's own tokenizer, which mistral_common contains."""
    import mistral_common

    return Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"


def tokenizer_file(model_dir: Path) -> Path:
    """The tokenizer of a Mistral-format model directory: tekken.json, else a tokenizer.model.v*."""
    tekken = model_dir / "tekken.json"
    if tekken.is_file():
        return tekken
    older = sorted(model_dir.glob("tokenizer.model.v*"))
    if older:
        return older[-1]
    raise UserError(
        f"{model_dir}: no tekken.json: a Mistral-format model needs its tokenizer: download the model again"
    )
