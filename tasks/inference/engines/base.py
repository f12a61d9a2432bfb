"""The interface of an engine, its inputs and outputs.

Imported by the inference child, so it imports nothing that vLLM does not install.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pixtrack.configs.schema import Sampling


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do; the schedule depends on these values, never on the engine's type."""

    token_prompts: bool
    """Whether it takes token ids and image objects; otherwise it takes chat messages."""
    kv_cache_tokens: int | None
    """Tokens that fit in the KV cache; None where the engine does not report it."""
    max_model_len: int | None
    """Most prompt and output tokens of one request; None where the engine does not report it."""
    prefix_caching: bool
    max_concurrency: int | None = None
    """Most requests in flight; None: as many as fit in the KV cache."""
    name: str = ""
    version: str = ""
    platform: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EnginePrompt:
    """One prompt, ready for an engine: token ids with image objects, or chat messages."""

    request_id: str
    token_ids: tuple[int, ...] | None = None
    """The ids, with the placeholders of each image expanded as the model's processor would do
    it."""
    text: str | None = None
    """The prompt in place of token ids, for models whose processor expands placeholders itself."""
    images: tuple[Any, ...] = ()
    """For each placeholder, the result of `Engine.prepare_image`, or None for an image that was
    sent before under its uuid (the engine raises ImageNotCached if it no longer has it)."""
    image_uuids: tuple[str, ...] = ()
    messages: tuple[dict[str, Any], ...] | None = None
    """OpenAI chat messages, for engines without `token_prompts`."""


@dataclass(frozen=True)
class EngineOutput:
    """What an engine returned for one prompt."""

    text: str
    finish_reason: str
    """`stop` or `length`."""
    token_ids: tuple[int, ...]
    prompt_tokens: int
    cached_tokens: int
    first_token_seconds: float
    seconds: float
    output_tokens: int | None = None
    """The number of output tokens from an engine that does not return their ids; None: the number
    of `token_ids`."""
    reasoning: str = ""
    """The model's reasoning, from an engine that returns it apart from the answer."""


class RequestRefused(Exception):
    """The engine will never answer this request (too long, bad image); the run goes on."""


class ImageNotCached(Exception):
    """The prompt left out an image that the engine does not have (any more): send it again."""


class EngineDied(Exception):
    """The engine has ended and answers no more requests."""


class Engine(Protocol):
    """Turns prompts into outputs. Whoever starts it closes it in `finally`."""

    retried: int
    """How often a question was sent again after a failure that may pass."""

    async def start(self) -> Capabilities:
        """Loads the model, or connects to the endpoint. Raises UserError for what a user can
        mend.
        """
        ...

    async def generate(
        self,
        prompt: EnginePrompt,
        sampling: Sampling,
        on_first_token: Callable[[], None] | None = None,
    ) -> EngineOutput:
        """Answers one prompt. May be called concurrently.

        Args:
            prompt: the prompt
            sampling: how the answer is generated
            on_first_token: called when the first token has been generated

        Raises:
            RequestRefused: this request will never be answered
            ImageNotCached: the prompt leaves out an image that the engine does not have
            EngineDied: the engine has ended
            Exception: any other failure; a later attempt may succeed
        """
        ...

    def prepare_image(self, image: Any) -> Any:
        """Makes the value for `EnginePrompt.images` of a PIL image in RGB.

        Called in worker threads before the request, so that the event loop need not process
        pixels. Thread-safe.
        """
        return image

    async def close(self) -> None:
        """Ends the engine with all its processes and frees its memory. May be called twice."""
        ...
