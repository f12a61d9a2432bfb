"""Names the kind of a file that is no image, by its first bytes."""

from __future__ import annotations

import codecs
import re

_MARKUP = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<title", b"<meta")
_STARTS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    (
        (b"version https://git-lfs.github.com/spec/",),
        "a Git LFS pointer to the file, not the file itself: run `git lfs pull`",
    ),
    ((b"%PDF-",), "a PDF document: name it .pdf, and its pages are shown"),
    ((b"%!PS", b"\xc5\xd0\xd3\xc6"), "PostScript (PS, EPS): convert it to PNG"),
    ((b"PK\x03\x04", b"PK\x05\x06"), "a ZIP archive, or an office document: unpack or convert it"),
    ((b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",), "an office document: convert its pages to PNG or PDF"),
    ((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"(\xb5/\xfd"), "a compressed file: decompress it"),
    ((b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"), "an archive (7z, RAR): unpack it"),
    ((b"8BPS",), "a Photoshop file (PSD): convert it to PNG"),
    ((b"gimp xcf",), "a GIMP file (XCF): convert it to PNG"),
    ((b"AT&TFORM",), "a DjVu document: convert its pages to PNG or PDF"),
    ((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"), "a JPEG XL image: convert it to PNG or JPEG"),
    ((b"II\xbc\x01",), "a JPEG XR image: convert it to PNG or JPEG"),
    ((b"\x97JB2\r\n\x1a\n",), "a JBIG2 image: convert it to PNG"),
    ((b"\0\0\x01\0", b"\0\0\x02\0"), "a Windows icon (ICO): convert it to PNG"),
    ((b"icns",), "a macOS icon (ICNS): convert it to PNG"),
    ((b"DDS ",), "a texture (DDS): convert it to PNG"),
    ((b"\x76\x2f\x31\x01",), "an OpenEXR image: convert it to PNG"),
    ((b"#?RADIANCE", b"#?RGBE"), "a Radiance HDR image: convert it to PNG"),
    ((b"SIMPLE  =",), "a FITS image: convert it to PNG"),
    ((b"\xd7\xcd\xc6\x9a", b"\x01\0\0\0"), "a Windows metafile (WMF, EMF): convert it to PNG"),
    ((b"{\\rtf",), "a text document (RTF): convert its pages to PNG or PDF"),
    ((b"PAR1",), "a parquet file: it is a table"),
    ((b"\x93NUMPY",), "a NumPy array: save it as PNG"),
    ((b"\x1aE\xdf\xa3", b"OggS", b"FLV\x01"), "a video or a sound: take pictures out of it as PNG"),
    (
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"IIRO", b"IIU\0"),
        "a TIFF, or a camera's raw photograph, whose kind of pixels is not read here or whose "
        "header is damaged: convert it to PNG",
    ),
)
"""Beginnings of files, and what to say of a file that begins so; the first that fits counts."""

_BOXES = {
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"mif1", b"msf1", b"heif"),
        "a HEIC (HEIF) photograph: convert it to JPEG or PNG",
    ),
    b"avif": "an AVIF image, which this Pillow does not read, or a damaged one: convert it to PNG",
    b"avis": "an AVIF image, which this Pillow does not read, or a damaged one: convert it to PNG",
    b"crx ": "a camera's raw photograph (CR3): convert it to JPEG or PNG",
}
"""Brands of ISO media files that are images; a file of any other brand is called a video."""

_DAMAGED = "a known format whose header is damaged"
_KNOWN_STARTS = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"RIFF", b"P1", b"P2", b"P3", b"P4",
                 b"P5", b"P6", b"\0\0\0\x0cjP")  # fmt: skip
_LOOKED_AT = 4096
_SHOWN = 40


def what_it_is(data: bytes) -> str:
    """Why data is not an image, for an error: what it is instead, and the remedy."""
    head = data[:_LOOKED_AT]
    known = known_kind(head)
    if known is not None:
        return f"not an image that can be shown but {known}"
    if not head.strip(b"\0"):
        return "not an image: nothing but zero bytes, as an interrupted download leaves"
    text = _text(head)
    if text is not None:
        return f"not an image but {_kind_of_text(text)}"
    damaged = _DAMAGED if head.startswith(_KNOWN_STARTS) else "a format that is not known here"
    return f"not an image that can be shown: {damaged}"


def known_kind(head: bytes) -> str | None:
    """The kind of a file by its first bytes, with the remedy; None for images, text and others."""
    for starts, said in _STARTS:
        if head.startswith(starts):
            return said
    if head[4:8] == b"ftyp":
        return _BOXES.get(head[8:12], "a video or a sound: take pictures out of it as PNG")
    if head[128:132] == b"DICM":
        return "a medical image (DICOM): convert it to PNG"
    return None


def _kind_of_text(text: str) -> str:
    start = text.lstrip("\ufeff \t\r\n")
    lowered = start.lower()
    if "<svg" in lowered:
        return "an SVG drawing: convert it to PNG"
    if lowered.encode().startswith(_MARKUP):
        return "a web page (HTML): the download went wrong"
    if lowered.startswith("<?xml"):
        return "XML: the download went wrong, or it is no picture"
    if start.startswith("data:image/"):
        return "the text of a data: address: decode its base64"
    if start.startswith(("http://", "https://")):
        return "the text of a web address: download what it names"
    if start.startswith(("{", "[")):
        return "JSON: the download went wrong, or it is no picture"
    if start.startswith(("../", "./", "/")) and "\n" not in start.strip():
        return "the text of a path, as a copied symbolic link: copy what it names"
    if len(start) > _SHOWN and re.fullmatch(r"[A-Za-z0-9+/=\s]+", start):
        return "text that looks like base64: decode it"
    shown = " ".join(start[:_SHOWN].split())
    return f"text that begins with {shown!r}" if shown else "text without a letter"


def _text(head: bytes) -> str | None:
    """The data decoded as text; None where it is not text."""
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    try:
        # The last character may be incomplete.
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None
    controls = sum(1 for letter in text if ord(letter) < 32 and letter not in "\t\r\n\f")
    return None if controls else text
