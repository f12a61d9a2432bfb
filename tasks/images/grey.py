"""Grey of more than eight bits a pixel as eight; Pillow's own conversion would clip it to white."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

from PIL import Image

from pixtrack.tasks.images.tags import BITS, PHOTOMETRIC, SAMPLES, tag_of

UNSIGNED, WHITE_IS_ZERO = 1, 0
USUAL_WHITES = (255, 1023, 4095, 16383, 65535)
"""The highest values of 8, 10, 12, 14 and 16 bits, which scanners, cameras and films have."""
OF_16_BITS = ("PNG", "PPM")
"""Formats whose integers Pillow brings to 16 bits, in a mode of 32."""
ROUNDING = 1.1
"""Resampling takes grey of 0 to 1 a little over 1."""
_BAND_PIXELS = 1 << 20


@dataclass(frozen=True)
class GreyHeader:
    """What a file says of its grey, to be taken before the image is turned: Pillow forgets it."""

    most: int | None
    """The highest value that the format allows; None where it does not say."""
    unsigned: bool
    white_is_zero: bool

    @classmethod
    def of(cls, image: Image.Image) -> GreyHeader:
        """Of an image as it was opened."""
        most = None
        if image.mode.startswith("I;16") or (image.mode == "I" and image.format in OF_16_BITS):
            most = 4095 if tag_of(image, BITS, 16) == 12 else 65535
        return cls(
            most=most,
            unsigned=tag_of(image, SAMPLES, 0) == UNSIGNED,
            white_is_zero=tag_of(image, PHOTOMETRIC, 1) == WHITE_IS_ZERO,
        )


def deep_grey_to_8_bits(image: Image.Image, header: GreyHeader) -> Image.Image:
    """The grey image (mode I or F) in mode L. Raises ValueError for values that are no numbers.

    Formats of 16 bits (and of 12, in a TIFF that says so) are scaled as such, however dark they
    are. Of 32-bit integers and of floating point nobody says what white is: values up to 1
    (floating point alone) are shares of white; otherwise white is the smallest of 255, 1023, 4095,
    16383 and 65535 that holds the image's highest value, or that value itself.
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
    if isinstance(transparent, int):  # a PNG's one transparent value: a page is white behind it
        grey.paste(255, mask=_equal(deep, transparent))
    return grey


def _as_floats(image: Image.Image, unsigned: bool) -> Image.Image:
    """Integers as floats; 32-bit ones without a sign, which Pillow reads as if they had one."""
    deep = image.convert("F")
    if image.mode == "I" and unsigned:
        negative = deep.point(lambda value: value * -255.0 + 0.0).convert("L")
        deep.paste(deep.point(lambda value: value * 1.0 + 2.0**32), mask=negative)
    return deep


def _equal(deep: Image.Image, wanted: int) -> Image.Image:
    """A mask of the pixels of that (whole) value."""
    above = deep.point(lambda value: value * 255.0 + 255.0 * (1 - wanted)).convert("L")
    over = deep.point(lambda value: value * 255.0 + 255.0 * -wanted).convert("L")
    mask = above.copy()
    mask.paste(0, mask=over)
    return mask


def _all_finite(deep: Image.Image) -> bool:
    """Whether every value is a number: getextrema compares, and a comparison with NaN is false."""
    rows = max(1, _BAND_PIXELS // deep.width)
    for top in range(0, deep.height, rows):
        band = deep.crop((0, top, deep.width, min(deep.height, top + rows)))
        # A sum of so many 32-bit floats cannot overflow: it is finite only where they all are.
        if not math.isfinite(sum(array("f", band.tobytes()))):
            return False
    return True
