"""Numbers of a TIFF's header."""

from __future__ import annotations

from PIL import Image

SUBFILE = 254
"""NewSubfileType: its lowest bit marks a preview of another page."""
BITS = 258
"""Bits a sample."""
PHOTOMETRIC = 262
"""What the values mean; 0: grey of which 0 is white."""
SAMPLES = 339
"""SampleFormat; 1: integers without a sign."""


def tag_of(image: Image.Image, tag: int, default: int) -> int:
    """The number under a tag, the first of several; the default where there is none."""
    value = getattr(image, "tag_v2", {}).get(tag, default)
    if isinstance(value, tuple):
        value = value[0] if value else default
    return int(value) if isinstance(value, int | float) else default
