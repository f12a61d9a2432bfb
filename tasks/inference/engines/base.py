"""The interface of an engine, and what goes in and out of it.

Imported by the inference child: nothing that vLLM does not bring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pixtrack.configs.schema import Sampling


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do: the schedule asks here, never for the engine's type."""

    token_prompts: bool
    """Takes prompt token ids and image objects; otherwise chat messages."""
    kv_cache_tokens: int | None
    """Tokens that the KV cache holds; None where the engine does not tell."""
    max_model_len: int | None
    """Prompt and output tokens of one request; None where the engine does not tell."""
    prefix_caching: bool
    max_concurrency: int | None = None
    """Requests in flight; None: as many as the KV cache holds."""
    name: str = ""
    version: str = ""
    platform: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EnginePrompt:
    """One prompt, ready for an engine: token ids with image objects, or chat messages."""

    request_id: str
    token_ids: tuple[int, ...] | None = None
    """With one placeholder run per image, already expanded as the model's processor would."""
    text: str | None = None
    """In place of token ids, for models whose processor expands the placeholders itself."""
    images: tuple[Any, ...] = ()
    """What `Engine.prepare_image` made of each image, one a placeholder; None for an image whose
    uuid the engine has been sent before (the engine raises ImageNotCached if it has dropped it)."""
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
    """Where the engine tells how many there were but not which; None: as many as `token_ids`."""
    reasoning: str = ""
    """What the model thought, where the engine keeps it apart from the answer."""


class RequestRefused(Exception):
    """The engine refuses this one request for good (too long, bad image): not a failure of the run."""


class ImageNotCached(Exception):
    """The prompt left out an image that the engine does not hold (any more): send it again."""


class EngineDied(Exception):
    """The engine is gone: nothing more can be asked of it."""


class Engine(Protocol):
    """Turns prompts into outputs. Closed in `finally` by whoever started it."""

    async def start(self) -> Capabilities:
        """Loads the model or reaches the endpoint. Raises UserError where the user can mend it."""
        ...

    async def generate(
        self,
        prompt: EnginePrompt,
        sampling: Sampling,
        on_first_token: Callable[[], None] | None = None,
    ) -> EngineOutput:
        """One answer. Safe to call concurrently.

        Raises RequestRefused for this request alone, ImageNotCached where the prompt leaves out an
        image that the engine has not cached, EngineDied where the engine is gone,
        any other exception for a failure that a later try may not meet.
        """
        ...

    def prepare_image(self, image: Any) -> Any:
        """What `EnginePrompt.images` holds for this PIL image in RGB: the image, or its pixels ready.

        Called in worker threads ahead of the request, so that no work on pixels is left for the
        event loop. Thread-safe.
        """
        return image

    async def close(self) -> None:
        """Frees everything; no process of the engine is left. May be called twice."""
        ...
