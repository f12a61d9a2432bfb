"""What front ends have in common: the interface, and vLLM's sender cache."""

from __future__ import annotations

from typing import Any, Protocol

from pixtrack.tasks.inference.engines.base import EnginePrompt, ImageNotCached


class Disagrees(Exception):
    """The front end gives something else than vLLM's own processor: in one line, what."""


class FrontEnd(Protocol):
    """Makes engine inputs for one AsyncLLM, without work on pixels in its event loop."""

    def __init__(self, renderer: Any, dtype: Any) -> None:
        """`renderer` is AsyncLLM's; `dtype` the model's torch dtype."""
        ...

    def prove(self) -> None:
        """Raises Disagrees, or whatever vLLM raises, unless trial images come out as vLLM's own."""
        ...

    def prepare(self, image: Any) -> Any:
        """What stands for the RGB image in `EnginePrompt.images`. Called in any thread, and in
        several at once.
        """
        ...

    def engine_input(self, prompt: EnginePrompt) -> Any:
        """The input as vLLM renders it. Call in the event loop, and send it before the next one is
        made: vLLM's two caches, here and in the engine core, must see the images in the same order.

        Raises ImageNotCached for an image that is left out and that the engine core has dropped.
        """
        ...

    def forget(self, prompt: EnginePrompt) -> None:
        """After a failed prompt: takes back that the engine core was sent its images."""
        ...


Cached = tuple[Any, Any]
"""What the engine core is sent of an image (None: it holds it), and what is known of it here."""


def through_cache(cache: Any, prompt: EnginePrompt, sent: list[Cached | None]) -> list[Cached]:
    """Passes the prompt's images through vLLM's sender cache, which mirrors the engine core's.

    `sent` has, for each image of the prompt, vLLM's item and what to keep beside it as long as the
    engine core holds the image; None for an image that is left out.
    """
    uuids = prompt.image_uuids
    missing = [
        uuid
        for one, uuid in zip(sent, uuids, strict=True)
        if one is None and not cache.is_cached_item(uuid)
    ]
    if missing:
        raise ImageNotCached(f"images {', '.join(missing)} are no longer cached")
    try:
        # All first, as the engine core does: no image of this prompt makes way for another.
        for uuid in uuids:
            cache.touch_sender_cache_item(uuid)
        return [
            cache.get_and_update_item(None if one is None else (one[0], [one[1]]), uuid)
            for one, uuid in zip(sent, uuids, strict=True)
        ]
    finally:
        getattr(cache, "release_sender_touches", lambda: None)()


def drop_from_cache(cache: Any, prompt: EnginePrompt) -> None:
    """Takes the images that the prompt brought along out of vLLM's sender cache."""
    for image, uuid in zip(prompt.images, prompt.image_uuids, strict=True):
        if image is not None and hasattr(cache, "invalidate"):
            cache.invalidate(uuid)
        elif image is not None:
            cache._cache.pop(uuid, None)
