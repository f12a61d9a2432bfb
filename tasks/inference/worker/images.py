"""Images read ahead of the engine, in worker threads, bounded in memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from pixtrack.tasks.images import BadImage, load_image
from pixtrack.tasks.inference.engines.base import RequestRefused
from pixtrack.tasks.records import ImageRef

Prepare = Callable[[Any], Any]
"""What an engine does to an image ahead of the request: resizing, normalising."""

RGB_BYTES = 3
WORKING_BYTES = 12
"""A pixel's bytes while it is resized: three channels in float32."""

WORKERS = max(2, min(8, (os.cpu_count() or 2) - 1))


def working_bytes(
    images: Sequence[ImageRef], target: Callable[[int, int], tuple[int, int] | None] | None = None
) -> int:
    """Memory that reading these images takes at most, in bytes: one is worked on at a time.

    `target` tells the size that an image is resized to ahead of the engine; where it does not, the
    image is kept as it is.
    """
    kept = [_kept_bytes(image, target) for image in images]
    read = [image.width * image.height * (RGB_BYTES + WORKING_BYTES) for image in images]
    return sum(kept) + max((r - k for r, k in zip(read, kept, strict=True)), default=0)


def _kept_bytes(
    image: ImageRef, target: Callable[[int, int], tuple[int, int] | None] | None
) -> int:
    size = target(image.width, image.height) if target else None
    if size is None:
        return image.width * image.height * RGB_BYTES
    return size[0] * size[1] * WORKING_BYTES


def read_images(images: Sequence[ImageRef], prepare: Prepare | None) -> tuple[list[Any], float]:
    """The images as the engine takes them, and the seconds that took; runs in a worker thread.

    Raises RequestRefused for a damaged image, and for one whose size is not what was prepared:
    its prompt would have the wrong number of image tokens.
    """
    started = time.perf_counter()
    read = [read_image(image, prepare) for image in images]
    return read, time.perf_counter() - started


def read_image(image: ImageRef, prepare: Prepare | None) -> Any:
    """One image as the engine takes it; raises as `read_images` does."""
    try:
        pixels = load_image(image.path)
    except BadImage as error:
        raise RequestRefused(f"image {image.path}: {error}") from error
    if pixels.size != (image.width, image.height):
        raise RequestRefused(
            f"image {image.path}: {pixels.width}×{pixels.height} pixels, but it was prepared as "
            f"{image.width}×{image.height}; prepare the dataset again"
        )
    return prepare(pixels) if prepare else pixels
