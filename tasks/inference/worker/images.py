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


def working_bytes(images: Sequence[ImageRef]) -> int:
    """Memory that reading these images takes at most, in bytes."""
    return sum(image.width * image.height * (RGB_BYTES + WORKING_BYTES) for image in images)


def read_images(images: Sequence[ImageRef], prepare: Prepare | None) -> tuple[list[Any], float]:
    """The images as the engine takes them, and the seconds that took; runs in a worker thread.

    Raises RequestRefused for a damaged image, and for one whose size is not what was prepared:
    its prompt would have the wrong number of image tokens.
    """
    started = time.perf_counter()
    read: list[Any] = []
    for image in images:
        try:
            pixels = load_image(image.path)
        except BadImage as error:
            raise RequestRefused(f"image {image.path}: {error}") from error
        if pixels.size != (image.width, image.height):
            raise RequestRefused(
                f"image {image.path}: {pixels.width}×{pixels.height} pixels, but it was prepared as "
                f"{image.width}×{image.height}; prepare the dataset again"
            )
        read.append(prepare(pixels) if prepare else pixels)
    return read, time.perf_counter() - started
