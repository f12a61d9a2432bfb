"""The interface of a prompt builder, and the drafts that it makes of requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pixtrack.tasks.inference.engines.base import EnginePrompt
from pixtrack.tasks.records import Request


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt before its images are read; the schedule plans with drafts."""

    request: Request
    prompt_tokens: int | None
    """Tokens of the whole prompt; None where the builder cannot know them (endpoints)."""
    image_tokens: int
    """The number among these that stand for images; 0 where unknown."""
    token_ids: tuple[int, ...] | None = None
    """The prompt's ids with one id per image, not yet expanded to the image's tokens."""
    text: str | None = None
    places: tuple[tuple[int, int], ...] = ()
    """Of each image, in order: where its one id stands in `token_ids`, and its tokens in the
    prompt."""


def image_places(
    ids: Sequence[int], image_id: int, counts: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """`Draft.places` of a prompt in which `image_id` stands for each image, in order."""
    found = [place for place, token in enumerate(ids) if token == image_id]
    return tuple(zip(found, counts, strict=False))


class PromptBuilder(Protocol):
    """Turns requests into an engine's prompts, for one chat format.

    `draft` needs no pixels and is thread-safe; `prompt` adds the images.
    """

    def draft(self, request: Request) -> Draft:
        """Encodes the texts and counts tokens. Raises RequestRefused for what the model cannot
        take.
        """
        ...

    def prompt(self, draft: Draft, images: Sequence[Any]) -> EnginePrompt:
        """Makes the engine's prompt.

        Args:
            draft: the draft
            images: the prepared images, in order; None for one that the engine has cached
        """
        ...

    def target_size(self, width: int, height: int) -> tuple[int, int] | None:
        """The size in pixels that the model's processor resizes such an image to, if known."""
        ...
