"""Tags of a TIFF's header that hold numbers."""

from __future__ import annotations

from PIL import Image

SUBFILE = 254
"""NewSubfileType: its lowest bit marks a preview of another page in the file."""
BITS = 258
"""BitsPerSample."""
PHOTOMETRIC = 262
"""PhotometricInterpretation; 0: grey whose value 0 is white."""
SAMPLES = 339
"""SampleFormat; 1: unsigned integers."""


def tag_of(image: Image.Image, tag: int, default: int) -> int:
    """The value of a tag, the first of several; the default where the image does not have it."""
    value = getattr(image, "tag_v2", {}).get(tag, default)
    if isinstance(value, tuple):
        value = value[0] if value else default
    return int(value) if isinstance(value, int | float) else default
