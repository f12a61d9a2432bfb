"""Reads images in worker threads before the engine needs them, within a limit of memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from pixtrack.tasks.images import BadImage, load_image
from pixtrack.tasks.inference.engines.base import RequestRefused
from pixtrack.tasks.records import ImageRef

Prepare = Callable[[Any], Any]
"""An engine's preparation of an image before the request: resizing, normalising."""

RGB_BYTES = 3
WORKING_BYTES = 12
"""Bytes per pixel while an image is resized: three channels in float32."""

WORKERS = max(2, min(8, (os.cpu_count() or 2) - 1))


def working_bytes(
    images: Sequence[ImageRef], target: Callable[[int, int], tuple[int, int] | None] | None = None
) -> int:
    """The most memory in bytes that reading these images takes, one after the other.

    `target` tells the size that an image is resized to ahead of the engine; where it does not, the
    image counts with its own size.
    """
    kept = [_kept_bytes(image, target) for image in images]
    read = [image.width * image.height * (RGB_BYTES + WORKING_BYTES) for image in images]
    return sum(kept) + max((r - k for r, k in zip(read, kept, strict=True)), default=0)


def _kept_bytes(
    image: ImageRef, target: Callable[[int, int], tuple[int, int] | None] | None
) -> int:
    width, height = (target and target(image.width, image.height)) or (image.width, image.height)
    return width * height * WORKING_BYTES


def read_images(images: Sequence[ImageRef], prepare: Prepare | None) -> tuple[list[Any], float]:
    """Reads and prepares images. Runs in a worker thread.

    Returns the prepared images and the seconds that this took. Raises RequestRefused for a damaged
    image, and for one that has another size than when the dataset was prepared: its prompt would
    have the wrong number of image tokens.
    """
    started = time.perf_counter()
    read = [read_image(image, prepare) for image in images]
    return read, time.perf_counter() - started


def read_image(image: ImageRef, prepare: Prepare | None) -> Any:
    """Reads and prepares one image. Raises RequestRefused like `read_images`."""
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
