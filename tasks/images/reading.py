"""Reads image files safely, and in preparation and inference alike, so that both see the same.

`inspect_image` reads an image's size and looks for damage without decoding pixels, for preparing
thousands of images a minute; `load_image` decodes one to RGB, for asking. Both turn every defect
into a `BadImage` with a short reason. Imported by the inference child too: standard library and
Pillow only, Python 3.10.
"""

from __future__ import annotations

import io
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from pixtrack.tasks.images.grey import GreyHeader, deep_grey_to_8_bits
from pixtrack.tasks.images.not_images import what_it_is
from pixtrack.tasks.images.tags import SUBFILE, tag_of
from pixtrack.tasks.images.whole import jpeg_ends, walk_png

MAX_PIXELS = 89_478_485
"""Larger images are refused as decompression bombs: Pillow's own warning limit (256 MiB of RGB).
The largest image of the seven datasets has 58.6 million pixels (InfographicVQA, 6250×9375)."""

# The limit above refuses what Pillow only warns of, and a damaged tag's warning names no file.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

EXTENSIONS = {
    "PNG": "png",
    "JPEG": "jpg",
    "MPO": "jpg",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tif",
    "PPM": "ppm",
    "JPEG2000": "jp2",
    "AVIF": "avif",
}
"""The formats that are read, with their file name extensions. No other decoder is tried: Pillow's
EPS plugin, for one, would run an external program on the file."""

Image.init()
_FORMATS = [name for name in EXTENSIONS if name in Image.OPEN]

_ONE_DECODER = threading.Lock()
"""Held while an image is decoded for its check: the threads of a preparation share the memory."""
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


class BadImage(ValueError):
    """The image cannot be shown to a model; the message is a short reason without a file name."""


@dataclass(frozen=True)
class ImageFacts:
    """What the header of an image file says."""

    format: str
    """Pillow's name for the format: PNG, JPEG, …"""
    width: int
    """Pixels, after the EXIF orientation is applied."""
    height: int
    frames: int = 1
    """Number of frames of an animation, of which the first is shown; 1 for any other image."""

    @property
    def extension(self) -> str:
        """The file name's extension, without a dot."""
        return EXTENSIONS[self.format]


def inspect_image(data: bytes) -> ImageFacts:
    """Size and format of an image file, and whether the file is whole. Raises BadImage.

    Decoding every pixel of a scanned page takes 30 to 100 ms, so the check uses what each format
    says about its own end: a PNG's chunks are walked to IEND and their CRCs computed, a JPEG must
    have its end-of-image marker behind the last scan, a WebP must be as long as its header says.
    A file that fails its check, and every file of another format, is decoded in full, and the
    decoder decides: the cheap check never refuses what `load_image` would show. Damage that only
    decoding can find in a PNG or WebP of the right length (a faulty compressed stream with a
    correct checksum) is found when the question is asked, and fails that sample then.
    """
    if not data:
        raise BadImage("empty file (0 bytes)")
    with _open(io.BytesIO(data)) as image:
        kind = image.format or ""
        width, height = image.size
        has_metadata = True
        if kind == "PNG":
            whole, has_metadata = walk_png(data)
        elif kind in ("JPEG", "MPO"):
            whole = jpeg_ends(data)
        elif kind == "WEBP":
            whole = len(data) >= 8 + int.from_bytes(data[4:8], "little")
        else:
            whole = False
        frames = _frames(image)
        if not whole:
            with _ONE_DECODER:
                width, height = _decode(image).size
        elif has_metadata and _orientation(image) in _SIDEWAYS:
            width, height = height, width
    return ImageFacts(kind, width, height, frames)


def load_image(path: Path | str) -> Image.Image:
    """Decodes an image to RGB, as a viewer would show it.

    The EXIF orientation is applied; of an animation the first frame is taken; transparency becomes
    white; grey of 16 and 32 bits becomes 8; CMYK and palettes are converted by Pillow without
    colour management, as in the published evaluation suites. Raises BadImage with the reason for a
    file that cannot be read or shown.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror or error}") from None
    return decode_image(data)


def decode_image(data: bytes) -> Image.Image:
    """As `load_image`, from the file's bytes."""
    if not data:
        raise BadImage("empty file (0 bytes)")
    with _open(io.BytesIO(data)) as image:
        return _decode(image)


def _open(file: io.BytesIO) -> Image.Image:
    try:
        image = Image.open(file, formats=_FORMATS)
    except Image.DecompressionBombError:
        raise BadImage(f"more than {MAX_PIXELS:,} pixels (decompression bomb)") from None
    except UnidentifiedImageError:
        raise BadImage(what_it_is(file.getvalue())) from None
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged headers
        raise BadImage(f"header cannot be read: {_reason(error)}") from None
    if image.format == "TIFF":
        _to_the_one_page(image)
    elif image.format == "PNG":
        _scale_transparency(image, file.getvalue())
    width, height = image.size
    if width < 1 or height < 1:
        raise BadImage(f"no pixels ({width}×{height})")
    if width * height > MAX_PIXELS:
        raise BadImage(f"{width}×{height} is more than {MAX_PIXELS:,} pixels (decompression bomb)")
    return image


def _to_the_one_page(image: Image.Image) -> None:
    """Goes to the page of a TIFF, past its previews. Raises BadImage for several pages."""
    try:
        count = getattr(image, "n_frames", 1)
        if count == 1:
            return
        pages = []
        for number in range(count):
            image.seek(number)
            if not tag_of(image, SUBFILE, 0) & 1:
                pages.append(number)
        image.seek(pages[0] if pages else 0)
    except Exception as error:  # as above
        raise BadImage(f"its pages cannot be read: {_reason(error)}") from None
    if len(pages) > 1:
        raise BadImage(
            f"a TIFF of {len(pages)} pages, of which one alone would be shown: split it, and list "
            "the pages as the question's images"
        )


def _scale_transparency(image: Image.Image, data: bytes) -> None:
    """Scales the transparent value of a PNG of 2 or 4 bits to the 8 bits that Pillow decodes to."""
    depth, grey = data[24], image.info.get("transparency")
    if image.mode == "L" and depth in (2, 4) and isinstance(grey, int):
        image.info["transparency"] = grey * 255 // (2**depth - 1)


def _frames(image: Image.Image) -> int:
    """The number of frames of an animation; 1 for any other image, or where no other can be read.

    Further views in a camera's MPO file (a depth map, another angle) do not count as frames.
    """
    if image.format in ("MPO", "TIFF"):
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # damage behind the first frame, which is the one that is shown
        return 1


def _decode(image: Image.Image) -> Image.Image:
    header = GreyHeader.of(image)
    _load(image)
    try:
        return _to_rgb(ImageOps.exif_transpose(image), header)
    except MemoryError:
        raise BadImage(f"not enough memory to decode {image.width}×{image.height}") from None
    except Exception as error:
        raise BadImage(f"cannot be shown: {_reason(error)}") from None


def _load(image: Image.Image) -> None:
    try:
        if image.format != "TIFF":
            image.seek(0)
        image.load()
    except MemoryError:
        raise BadImage(f"not enough memory to decode {image.width}×{image.height}") from None
    except Exception as error:  # as above: OSError, SyntaxError, ValueError, struct.error, …
        raise BadImage(f"cannot be decoded: {_reason(error)}") from None


def _to_rgb(image: Image.Image, header: GreyHeader) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return deep_grey_to_8_bits(image, header).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image.getchannel("A"))
        return page
    if image.mode == "RGB":
        # A plain image object: no open file, no format-specific subclass.
        return image.copy()
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF: the decoder ignores it as well
        return 1


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:160] if text else type(error).__name__
