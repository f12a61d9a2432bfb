"""Converts grey of more than eight bits to eight; Pillow's own conversion would clip it to
white.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

from PIL import Image

from pixtrack.tasks.images.tags import BITS, PHOTOMETRIC, SAMPLES, tag_of

UNSIGNED, WHITE_IS_ZERO = 1, 0
USUAL_WHITES = (255, 1023, 4095, 16383, 65535)
"""The highest values of 8, 10, 12, 14 and 16 bits, the depths of scanners, cameras and films."""
OF_16_BITS = ("PNG", "PPM")
"""Formats whose integers Pillow scales to 16 bits, though it keeps them in a mode of 32 bits."""
ROUNDING = 1.1
"""Tolerance: resampling takes values from 0 to 1 slightly above 1."""
_BAND_PIXELS = 1 << 20


@dataclass(frozen=True)
class GreyHeader:
    """What a file's header says of its grey. Pillow drops it when an image is rotated."""

    most: int | None
    """The highest value that the format allows; None where the header does not say it."""
    unsigned: bool
    white_is_zero: bool

    @classmethod
    def of(cls, image: Image.Image) -> GreyHeader:
        """The header of an image that was just opened."""
        most = None
        if image.mode.startswith("I;16") or (image.mode == "I" and image.format in OF_16_BITS):
            most = 4095 if tag_of(image, BITS, 16) == 12 else 65535
        return cls(
            most=most,
            unsigned=tag_of(image, SAMPLES, 0) == UNSIGNED,
            white_is_zero=tag_of(image, PHOTOMETRIC, 1) == WHITE_IS_ZERO,
        )


def deep_grey_to_8_bits(image: Image.Image, header: GreyHeader) -> Image.Image:
    """Converts a grey image (mode I or F) to mode L. Raises ValueError for NaN and infinity.

    Formats of 16 bits (and of 12, in a TIFF that says so) are scaled by their depth, however dark
    the image is. For 32-bit integers and floating point white is not defined by the format:
    floating-point values up to 1 are taken as shares of white; otherwise white is the smallest of
    255, 1023, 4095, 16383 and 65535 that is not below the image's highest value, or that value.
    """
    floating = image.mode == "F"
    transparent = image.info.get("transparency")
    deep = image if floating else _as_floats(image, header.unsigned)
    if floating and not _all_finite(deep):
        raise ValueError("its values are not finite")
    high = deep.getextrema()[1]
    if not isinstance(high, int | float):
        raise ValueError("no single channel of grey")
    if header.most is not None:
        white = float(header.most)
    elif floating and high <= ROUNDING:
        white = 1.0
    else:
        white = next((float(usual) for usual in USUAL_WHITES if high <= usual), float(high))
    scale, offset = (-255 / white, 255.5) if header.white_is_zero else (255 / white, 0.5)
    # point() on "F" takes a linear function only, and "L" rounds down and clips.
    grey = deep.point(lambda value: value * scale + offset).convert("L")
    if isinstance(transparent, int):  # a PNG's transparent value is shown as white, like a page
        grey.paste(255, mask=_equal(deep, transparent))
    return grey


def _as_floats(image: Image.Image, unsigned: bool) -> Image.Image:
    """Integers as floats, with unsigned 32-bit ones corrected, which Pillow reads as signed."""
    deep = image.convert("F")
    if image.mode == "I" and unsigned:
        negative = deep.point(lambda value: value * -255.0 + 0.0).convert("L")
        deep.paste(deep.point(lambda value: value * 1.0 + 2.0**32), mask=negative)
    return deep


def _equal(deep: Image.Image, wanted: int) -> Image.Image:
    """A mask of the pixels that have the (integer) value."""
    above = deep.point(lambda value: value * 255.0 + 255.0 * (1 - wanted)).convert("L")
    over = deep.point(lambda value: value * 255.0 + 255.0 * -wanted).convert("L")
    mask = above.copy()
    mask.paste(0, mask=over)
    return mask


def _all_finite(deep: Image.Image) -> bool:
    """Whether every value is finite. getextrema would not show it: comparisons with NaN are
    false.
    """
    rows = max(1, _BAND_PIXELS // deep.width)
    for top in range(0, deep.height, rows):
        band = deep.crop((0, top, deep.width, min(deep.height, top + rows)))
        # A sum of this many 32-bit floats cannot overflow, so it is finite only if all values are.
        if not math.isfinite(sum(array("f", band.tobytes()))):
            return False
    return True
