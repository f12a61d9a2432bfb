"""Reads image files safely and the same way everywhere: what was prepared is what the model sees.

`inspect_image` reads an image's size and looks for damage without decoding pixels, for preparing
thousands of images a minute; `load_image` decodes one to RGB, for asking. Both turn every defect
into a `BadImage` with a short reason. Imported by the inference child too: standard library and
Pillow only, Python 3.10.
"""

from __future__ import annotations

import io
import math
import struct
import threading
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 89_478_485
"""Larger images are refused as decompression bombs: Pillow's own warning limit (256 MiB of RGB).
The largest image of the seven datasets has 58.6 million pixels (InfographicVQA, 6250×9375)."""

# The limit above refuses what Pillow only warns of.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

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
"""The formats that are read, with the file name's extension. No other decoder is ever tried:
Pillow's EPS plugin, for one, would run an external program on the file."""

Image.init()
_FORMATS = [name for name in EXTENSIONS if name in Image.OPEN]

_ONE_DECODER = threading.Lock()
"""Preparing has several threads and a promise about memory: one decodes a doubtful image at a time."""
_ORIENTATION = 0x0112
_TIFF_KIND = 254
"""NewSubfileType, whose lowest bit marks a preview of another page."""
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif")
_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


class BadImage(ValueError):
    """The image cannot be shown to a model; the message is a short reason without a file name."""


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image file without decoding it."""

    format: str
    """Pillow's name: PNG, JPEG, …"""
    width: int
    """Pixels, after the EXIF orientation is applied."""
    height: int

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
    decoder has the last word: the cheap check never refuses what `load_image` would show. Damage
    that a decoder alone could find in a PNG or WebP of the right length (a faulty compressed
    stream under a right checksum) is met when the image is asked, and fails that sample then.
    """
    if not data:
        raise BadImage("empty file (0 bytes)")
    with _open(io.BytesIO(data)) as image:
        kind = image.format or ""
        width, height = image.size
        has_metadata = True
        if kind == "PNG":
            whole, has_metadata = _walk_png(data)
        elif kind in ("JPEG", "MPO"):
            whole = _jpeg_ends(data)
        elif kind == "WEBP":
            whole = len(data) >= 8 + int.from_bytes(data[4:8], "little")
        else:
            whole = False
        if not whole:
            with _ONE_DECODER:
                _load(image)
        if (has_metadata or not whole) and _orientation(image) in _SIDEWAYS:
            width, height = height, width
    return ImageFacts(kind, width, height)


def load_image(path: Path | str) -> Image.Image:
    """The image in RGB as a person would see it. Raises BadImage.

    The EXIF orientation is applied; an animation gives its first frame; transparency is laid over
    white, as a page is; grey of 16 and 32 bits becomes 8; CMYK and palettes are converted by
    Pillow without colour management, as the published evaluation suites do.
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
    width, height = image.size
    if width < 1 or height < 1:
        raise BadImage(f"no pixels ({width}×{height})")
    pages = _pages(image)
    if pages > 1:
        raise BadImage(
            f"a TIFF of {pages} pages, of which one alone would be shown: split it, and list the "
            "pages as the question's images"
        )
    if width * height > MAX_PIXELS:
        raise BadImage(f"{width}×{height} is more than {MAX_PIXELS:,} pixels (decompression bomb)")
    return image


def _pages(image: Image.Image) -> int:
    """The pages of a TIFF, not counting previews; 1 for any other format.

    Of an animation the first frame is shown, and of a camera's MPO the first view, as everywhere.
    """
    if image.format != "TIFF":
        return 1
    pages = 0
    try:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            reduced = int(image.tag_v2.get(_TIFF_KIND, 0)) & 1  # type: ignore[attr-defined]
            pages += not reduced
        image.seek(0)
    except Exception as error:  # as above
        raise BadImage(f"its pages cannot be read: {_reason(error)}") from None
    return max(1, pages)


def what_it_is(data: bytes) -> str:
    """Why data that no decoder knows is no image, by what it is instead."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    lowered = start.lower()
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        return "not an image but a Git LFS pointer to one: run `git lfs pull`"
    if start.startswith(b"%PDF-"):
        return "not an image but a PDF document: convert its pages to PNG"
    if b"<svg" in lowered:
        return "not an image but an SVG drawing: convert it to PNG"
    if lowered.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "not an image but a web page (HTML): the download went wrong"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return (
            "not an image that is read here but a HEIC (HEIF) photograph: convert it to JPEG or PNG"
        )
    if lowered.startswith((b"<?xml", b"{", b"[")):
        return "not an image but text (XML or JSON): the download went wrong"
    if start.startswith(b"PK\x03\x04"):
        return "not an image but a ZIP archive: unpack it"
    return "not an image in a known format, or its header is damaged"


def _decode(image: Image.Image) -> Image.Image:
    _load(image)
    try:
        return _to_rgb(ImageOps.exif_transpose(image), image.format or "")
    except MemoryError:
        raise BadImage(f"not enough memory to decode {image.width}×{image.height}") from None
    except Exception as error:
        raise BadImage(f"cannot be shown: {_reason(error)}") from None


def _load(image: Image.Image) -> None:
    try:
        image.seek(0)
        image.load()
    except MemoryError:
        raise BadImage(f"not enough memory to decode {image.width}×{image.height}") from None
    except Exception as error:  # as above: OSError, SyntaxError, ValueError, struct.error, …
        raise BadImage(f"cannot be decoded: {_reason(error)}") from None


def _to_rgb(image: Image.Image, kind: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey_to_8_bits(image, kind).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image.getchannel("A"))
        return page
    if image.mode == "RGB":
        # A plain image object: no open file, no format-specific subclass.
        return image.copy()
    return image.convert("RGB")


def _deep_grey_to_8_bits(image: Image.Image, kind: str) -> Image.Image:
    """Grey of 16 bits and more as 8 bits; Pillow's own conversion would clip it to white.

    16-bit formats are scaled as such, however dark they are. Of 32-bit integers and floating point
    nobody says what white is: values up to 1 (floating point alone) and up to 255 are taken for
    what these formats usually hold, then 16 bits, then the image's own highest value.
    """
    sixteen = image.mode.startswith("I;16") or kind == "PNG"
    floating = image.mode == "F"
    image = image.convert("F")
    low, high = image.getextrema()
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        raise ValueError("no single channel of grey")
    if not math.isfinite(low) or not math.isfinite(high):
        raise ValueError("its values are not finite")
    if sixteen:
        scale = 1 / 257
    elif floating and high <= 1:
        scale = 255.0
    elif high <= 255:
        scale = 1.0
    else:
        scale = 1 / 257 if high <= 65535 else 255 / high
    # ImageMath-free: point() on "F" takes a linear function only, and "L" rounds down.
    return image.point(lambda value: value * scale + 0.5).convert("L")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF: the decoder ignores it as well
        return 1


def _walk_png(data: bytes) -> tuple[bool, bool]:
    """Whether every chunk up to IEND is there with the right CRC, and whether any holds metadata.

    Metadata matters because the orientation may stand behind the pixels, where Pillow finds it
    only by decoding.
    """
    position, has_metadata = 8, False
    view = memoryview(data)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            return False, has_metadata
        (crc,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != crc:
            return False, has_metadata
        if kind == b"IEND":
            return True, has_metadata
        if kind == b"eXIf" or (
            kind in (b"tEXt", b"zTXt", b"iTXt")
            and data[position + 8 : position + 28].startswith((b"Raw profile type", b"XML:com"))
        ):
            has_metadata = True
        position = end
    return False, has_metadata


def _jpeg_ends(data: bytes) -> bool:
    """Whether an end-of-image marker follows the (first) start of scan.

    The segments before it are skipped by their lengths: an EXIF thumbnail is a JPEG with an end
    marker of its own.
    """
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return False
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker == 0xDA:  # start of scan
            return data.rfind(b"\xff\xd9", position) > 0
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:160] if text else type(error).__name__
