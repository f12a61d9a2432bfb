"""The images of a user's rows: files found by the names in the rows, or data in the rows
themselves.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pixtrack.tasks.datasets.annotations import find_image
from pixtrack.tasks.images import BadImage, inspect_image

_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_SHORTEST_BASE64 = 64
_LONGEST_NAME = 1024


class RowImages:
    """Finds the image files of rows; images that a row contains are written into `kept`."""

    def __init__(self, folder: Path, kept: Path) -> None:
        self._folder = folder
        self.kept = kept
        self._by_stem: dict[str, list[str]] | None = None
        self._found: dict[str, str] = {}
        self._names_of: dict[str, str] = {}
        self._by_id: dict[str, list[str]] = {}
        self.notes: set[str] = set()
        """Remarks for the user on how the last row's images were found."""

    def of(self, images: list[Any], row_id: Any) -> list[str]:
        """The names of the row's images, in the image folder or (with KEPT before it) in `kept`.

        Args:
            images: what the row has: names, bytes, or mappings of the datasets library
            row_id: the row's id; a later row may name it in place of the images that this one has

        Raises:
            BadImage: an image is neither a file of the folder nor image data
        """
        self.notes = set()
        names = [self._one(image) for image in images]
        if row_id is not None and any(self.is_kept(name) for name in names):
            self._by_id.setdefault(str(row_id), names)
        return names

    def is_kept(self, name: str) -> bool:
        """Whether the name is that of an image which a row contained and which is in `kept` now."""
        return name.startswith(KEPT)

    def keep_file(self, name: str) -> str:
        """Copies a file of the image folder into `kept` and returns its name there."""
        path = find_image(self._folder, name)
        self.kept.mkdir(exist_ok=True)
        # A PDF document keeps the ending of its name, by which it is recognised as one.
        kept = f"{hashlib.sha256(name.encode()).hexdigest()}{path.suffix.lower()}"
        shutil.copyfile(path, self.kept / kept)
        return kept

    def _one(self, image: Any) -> str:
        if isinstance(image, Mapping):  # the datasets library's Image feature
            held = image.get("bytes")
            image = held if held is not None else image.get("path", image)
        if isinstance(image, bytes):
            return self._keep(image)
        if isinstance(image, int) and not isinstance(image, bool):
            image = str(image)
        if not isinstance(image, str) or not image.strip():
            raise BadImage(f"image {_shown(image)}: neither a file name nor an image")
        known = self._found.get(image)
        if known is not None:
            return known
        name = self._named(image)
        if len(image) <= _LONGEST_NAME and not self.is_kept(name):
            self._found[image] = name
        return name

    def _keep(self, data: bytes) -> str:
        """Writes image data into `kept` under its digest. Raises BadImage where it is no image."""
        facts = None if data.startswith(b"%PDF-") else inspect_image(data)
        self.kept.mkdir(exist_ok=True)
        name = f"{hashlib.sha256(data).hexdigest()}.{facts.extension if facts else 'pdf'}"
        path = self.kept / name
        if not path.exists():
            path.write_bytes(data)
        return KEPT + name

    def _named(self, name: str) -> str:
        problem: BadImage | None = None
        if len(name) <= _LONGEST_NAME:
            try:
                find_image(self._folder, name)
            except BadImage as error:
                problem = error
            else:
                return name
        if re.match(r"https?://", name):
            raise BadImage(f"image {_shown(name)}: a web address: download it, and name the file")
        data = _decoded(name)
        if data is not None:
            self.notes.add("images given as base64")
            return self._keep(data)
        earlier = self._by_id.get(name.strip())
        if earlier is not None and len(earlier) == 1:
            self.notes.add("images given as the id of an earlier row with the same")
            return earlier[0]
        other = self._other_name(name)
        if other is not None:
            return other
        raise BadImage(f"image {_shown(name)}: {problem or 'no file name'}")

    def _other_name(self, name: str) -> str | None:
        """The only file that the name can mean; None without one. Raises BadImage for several."""
        folder = self._folder.resolve()
        plain = name.replace("\\", "/")
        if "\0" in plain or len(name) > _LONGEST_NAME or ".." in PurePosixPath(plain).parts:
            return None
        path = Path(plain)
        if path.is_absolute() and path.is_relative_to(folder):
            return self._taken(name, str(path.relative_to(folder)), "with their whole path")
        parts = PurePosixPath(plain).parts
        for first in range(1 if path.is_absolute() or "\\" not in name else 0, len(parts)):
            shorter = "/".join(parts[first:])
            if self._is_there(shorter):
                return self._taken(name, shorter, "with folders that the image folder lacks")
        found = self._stems().get(_stem(plain), [])
        if len(found) > 1:
            raise BadImage(
                f"image {_shown(name)}: may be {' or '.join(found[:3])} in the image folder"
            )
        return self._taken(name, found[0], "without their ending, or by number") if found else None

    def _taken(self, name: str, file: str, how: str) -> str | None:
        if not self._is_there(file):
            return None
        other = self._names_of.setdefault(file, name)
        if other != name:
            raise BadImage(f"image {_shown(name)}: would be {file}, and so would {_shown(other)}")
        self.notes.add(f"images named {how}")
        return file

    def _is_there(self, name: str) -> bool:
        try:
            find_image(self._folder, name)
        except BadImage:
            return False
        return True

    def _stems(self) -> dict[str, list[str]]:
        """The folder's files by their names without ending, and by the numbers those names end
        with.
        """
        if self._by_stem is None:
            self._by_stem = {}
            for root, _, files in os.walk(self._folder):
                for file in sorted(files):
                    path = (Path(root) / file).relative_to(self._folder).as_posix()
                    stem = Path(file).stem
                    keys = {stem, _number(stem)} - {""}
                    for key in keys:
                        self._by_stem.setdefault(key, []).append(path)
        return self._by_stem


KEPT = "kept:"
"""Prefix of the names of images that rows contained, until their final folder is known."""


def _stem(name: str) -> str:
    text = PurePosixPath(name).name
    return text.lstrip("0") or "0" if text.isdecimal() else text


def _number(stem: str) -> str:
    """The number at the end of a file's stem: "262148" of COCO_val2014_000000262148; else ""."""
    found = re.fullmatch(r"(?:.*_)?0*(\d{1,18})", stem)
    return found.group(1) if found else ""


def _decoded(text: str) -> bytes | None:
    """Decodes base64, with or without `data:…;base64,` before it; None for any other text."""
    encoded = text.partition(",")[2] if text.startswith("data:image/") else text
    if len(encoded) < _SHORTEST_BASE64 or not _BASE64.fullmatch(encoded):
        return None
    try:
        return base64.b64decode(encoded)
    except (binascii.Error, ValueError):
        return None


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= 80 else f"{text[:60]}… ({len(text):,} characters)"
    return repr(text) if isinstance(value, str) else text
