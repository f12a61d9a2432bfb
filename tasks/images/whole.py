"""Checks that an image file is complete by how its format ends, without decoding pixels."""

from __future__ import annotations

import struct
import zlib


def walk_png(data: bytes) -> tuple[bool, bool]:
    """Checks the chunks of a PNG.

    Returns whether every chunk up to IEND is there with the right CRC, and whether one holds
    metadata: it may give the orientation after the pixels, where Pillow finds it only by decoding.
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


def jpeg_ends(data: bytes) -> bool:
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
