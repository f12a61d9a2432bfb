"""Reads image files safely, and in preparation and inference alike, so that both see the same.

Imported by the inference child too: standard library and Pillow only, Python 3.10.
"""

from pixtrack.tasks.images.not_images import known_kind, what_it_is
from pixtrack.tasks.images.reading import (
    EXTENSIONS,
    MAX_PIXELS,
    BadImage,
    ImageFacts,
    decode_image,
    inspect_image,
    load_image,
)

__all__ = [
    "EXTENSIONS",
    "MAX_PIXELS",
    "BadImage",
    "ImageFacts",
    "decode_image",
    "inspect_image",
    "known_kind",
    "load_image",
    "what_it_is",
]
