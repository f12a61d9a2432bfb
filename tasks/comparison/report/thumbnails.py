"""Small copies of the questions' images for the page, within a budget of bytes.

Images of questions on which the models disagree come first, since those are what people open.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from pixtrack.tasks.images import BadImage, load_image

PIXELS = 800
"""The longer side: at this width a scanned page's print can still be made out."""
IMAGE_BYTES = 45_000
"""One image's share; a page of print takes about 30 KB, noise and photographs more."""
_QUALITIES = (50, 30)
"""WebP; the second for images that the first leaves over their share, before they are shrunk."""
_SHRINK = 0.75
_WORKERS = 2
_AT_ONCE = 16


def thumbnail(path: Path, pixels: int = PIXELS) -> bytes:
    """The image as WebP, of at most `pixels` a side, in about IMAGE_BYTES. Raises BadImage."""
    image = load_image(path)
    factor = max(image.size) // (2 * pixels)
    if factor > 1:
        image = image.reduce(factor)
    image.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
    for quality in _QUALITIES:
        data = _webp(image, quality)
        if len(data) <= IMAGE_BYTES:
            return data
    side = int(max(image.size) * _SHRINK)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _webp(image, _QUALITIES[-1])


def _webp(image: Image.Image, quality: int) -> bytes:
    data = io.BytesIO()
    image.save(data, "WEBP", quality=quality, method=2)
    return data.getvalue()


def encoded(
    wanted: Sequence[tuple[str, Path]], budget: int, pixels: int = PIXELS
) -> dict[str, str]:
    """Base64 of the thumbnails by image key, in the order wanted, until `budget` bytes are spent.

    An image that cannot be read is left out: its question then says so.
    """
    found: dict[str, str] = {}
    for key, data in _in_order(wanted, pixels):
        if data is None:
            continue
        text = base64.b64encode(data).decode()
        if len(text) + 3 > budget:
            break
        budget -= len(text) + 3  # quotes and comma
        found[key] = text
    return found


def _in_order(
    wanted: Sequence[tuple[str, Path]], pixels: int
) -> Iterator[tuple[str, bytes | None]]:
    """Thumbnails a few at a time, so that none is made long after the budget is spent."""

    def make(item: tuple[str, Path]) -> tuple[str, bytes | None]:
        try:
            return item[0], thumbnail(item[1], pixels)
        except BadImage:
            return item[0], None

    with ThreadPoolExecutor(_WORKERS) as pool:
        start = 0
        while start < len(wanted):
            yield from pool.map(make, wanted[start : start + _AT_ONCE])
            start += _AT_ONCE
