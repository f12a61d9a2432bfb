"""Prompts of HF-format models: the processor's chat template, with one id in place of each image.

vLLM's processor expands that placeholder to the image's tokens. Their number, which planning needs,
is asked of the model's own processor (`_get_num_multimodal_tokens`, by the image's size alone).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.engines.base import EnginePrompt, RequestRefused
from pixtrack.tasks.inference.prompts.base import Draft, image_places
from pixtrack.tasks.records import Request


class HfPrompts:
    """The builder for models with a Hugging Face processor and chat template."""

    def __init__(
        self, model_dir: Path, max_images: int = 1, trust_remote_code: bool = False
    ) -> None:
        from transformers import AutoProcessor

        self.max_images = max_images
        try:
            self._processor = AutoProcessor.from_pretrained(
                str(model_dir), trust_remote_code=trust_remote_code
            )
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{model_dir}: its processor cannot be loaded: {reason}") from error
        self._tokenizer = self._processor.tokenizer
        # Fast tokenizers change their own state (truncation, padding) in calls: not thread-safe.
        self._lock = threading.Lock()
        template = getattr(self._processor, "chat_template", None)
        self._template = template or getattr(self._tokenizer, "chat_template", None)
        if not self._template:
            raise UserError(
                f"{model_dir}: no chat template (chat_template.jinja, chat_template.json or in "
                "tokenizer_config.json): download the model's files again"
            )
        self.image_token = getattr(self._processor, "image_token", None) or "<image>"
        self.image_id = self._tokenizer.convert_tokens_to_ids(self.image_token)
        self._lists = self._takes_lists()

    def target_size(self, width: int, height: int) -> None:  # noqa: ARG002
        """None: HF processors resize by rules that are not known here."""
        return

    def draft(self, request: Request) -> Draft:
        """The conversation by the chat template as token ids; each image is one id, `image_id`."""
        if len(request.images) > self.max_images:
            raise RequestRefused(
                f"{len(request.images)} images, but the model is set up for {self.max_images}: "
                "raise max_images in the model's file"
            )
        with self._lock:
            text = self._render(self._conversation(request))
            ids = tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])
            counts = self._image_tokens(request)
        if ids.count(self.image_id) != len(request.images):
            raise RequestRefused(f"the text holds the model's image placeholder {self.image_token}")
        if counts is None:
            return Draft(request=request, prompt_tokens=None, image_tokens=0, token_ids=ids)
        return Draft(
            request=request,
            prompt_tokens=len(ids) - len(counts) + sum(counts),
            image_tokens=sum(counts),
            token_ids=ids,
            places=image_places(ids, self.image_id, counts),
        )

    def prompt(self, draft: Draft, images: Sequence[Any]) -> EnginePrompt:
        """The token ids, one for each image, with the images and their content hashes."""
        return EnginePrompt(
            request_id=str(draft.request.index),
            token_ids=draft.token_ids,
            images=tuple(images),
            image_uuids=tuple(image.sha256 for image in draft.request.images),
        )

    def text(self, token_ids: Sequence[int]) -> str:
        """The prompt as text, with special tokens by name."""
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=False))

    def _image_tokens(self, request: Request) -> list[int] | None:
        """The prompt tokens of each image; None where the processor cannot count them."""
        if not request.images:
            return []
        count = getattr(self._processor, "_get_num_multimodal_tokens", None)
        if count is None:
            return None
        sizes = [(image.height, image.width) for image in request.images]
        try:
            return [int(tokens) for tokens in count(image_sizes=sizes)["num_image_tokens"]]
        except ValueError as error:  # Qwen2.5-VL refuses aspect ratios over 200
            raise RequestRefused(f"the model's processor refuses the image: {error}") from error

    def _conversation(self, request: Request) -> list[dict[str, Any]]:
        """The conversation in the form in which vLLM's chat path gives it to the template.

        Contents are lists of parts or, for templates that take only strings, texts with the
        placeholders on lines of their own.
        """
        conversation: list[dict[str, Any]] = []
        if request.system:
            content = self._content((request.system,))
            conversation.append({"role": "system", "content": content})
        for number, parts in enumerate(request.layout):
            role = "assistant" if number % 2 else "user"
            conversation.append({"role": role, "content": self._content(parts)})
        return conversation

    def _content(self, parts: Sequence[str | None]) -> Any:
        """The content of one turn; None in `parts` stands for an image."""
        if self._lists:
            return [
                {"type": "image"} if part is None else {"type": "text", "text": part}
                for part in parts
            ]
        return "\n".join(self.image_token if part is None else part for part in parts)

    def _render(self, conversation: list[dict[str, Any]]) -> str:
        rendered = self._tokenizer.apply_chat_template(
            conversation,
            chat_template=self._template,
            tokenize=False,
            add_generation_prompt=True,
        )
        return str(rendered)

    def _takes_lists(self) -> bool:
        """Whether the template understands a content that is a list of parts."""
        parts = [{"type": "image"}, {"type": "text", "text": "some words"}]
        try:
            text = self._render([{"role": "user", "content": parts}])
        except Exception:  # a template may raise anything for input that it does not take
            return False
        # A template that takes only strings prints the list in Python's form.
        return "some words" in text and self.image_token in text and "'type'" not in text
