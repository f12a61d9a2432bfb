"""What is no image is called what it is, with a way out."""

from __future__ import annotations

import base64
import gzip
import io
import os
import zipfile

import pytest
from PIL import Image

from pixtrack.tasks.images import BadImage, decode_image, inspect_image, what_it_is


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    return file.getvalue()


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, kind)
    return file.getvalue()


NO_IMAGES: dict[str, list[bytes]] = {
    "Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n"],
    "web page": [
        b"<html><head></head></html>",
        b"\xef\xbb\xbf\n <!DOCTYPE html><html><body>404</body></html>",
        "<!doctype HTML>\n<p>".encode("utf-16"),
    ],
    "PDF": [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"],
    "SVG": [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<?xml version='1.0'?><!-- made by hand --><svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
    "HEIC": [
        b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + b"x" * 50
        for brand in (b"heic", b"heix", b"mif1", b"hevc")
    ],
    "PostScript": [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", saved("EPS")],
    "JSON": [b'{"error": "no such file"}', b"[1]"],
    "XML": [b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"],
    "ZIP archive": [zipped()],
    "compressed": [gzip.compress(b"x" * 100)],
    "base64": [
        base64.b64encode(os.urandom(300)),
        b"data:image/png;base64," + base64.b64encode(b"x" * 90),
    ],
    "web address": [b"https://example.org/a.png\n"],
    "path": [b"../../blobs/8d3f"],
    "TIFF": [b"II*\0\x08\0\0\0\0\0", b"MM\0*" + b"\xff" * 20],
    "JPEG XL": [b"\xff\x0a" + b"\x90" * 30],
    "icon": [saved("ICO")],
    "texture": [saved("DDS")],
    "medical": [b"\0" * 128 + b"DICM" + b"\2\0" * 9],
    "office": [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 90],
    "video": [b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2", b"\x1aE\xdf\xa3" + b"\x93" * 9],
    "NumPy": [b"\x93NUMPY\x01\0v\0{'descr': '<f4'}"],
    "zero bytes": [b"\0" * 500],
    "begins with 'Not Found'": [b"Not Found"],
    "header is damaged": [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\0\x01"],
    "not known here": [b"\x9c\xfe\xba\x80" * 50],
}


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_image_is_called_what_it_is(kind: str) -> None:
    for data in NO_IMAGES[kind]:
        for look in (inspect_image, decode_image):
            with pytest.raises(BadImage) as refused:
                look(data)
            assert kind in str(refused.value)
            assert "\n" not in str(refused.value)


def test_text_is_shown_without_its_control_characters() -> None:
    assert "\x1b" not in what_it_is(b"\x1b[31mred\x1b[0m")
    assert what_it_is("é".encode() * 5000).startswith("not an image but text that begins with")
