"""The image store: each image file once, named by its content hash, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from pixtrack.tasks.images import BadImage, inspect_image

MAX_FILE_BYTES = 100 * 2**20
"""Larger image files are refused: an image is held in memory whole while it is checked."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in the store."""

    sha256: str
    path: str
    """Relative to the store, with slashes."""
    width: int
    """Pixels, after the EXIF orientation is applied."""
    height: int
    bytes: int
    frames: int = 1
    """Number of frames; of an animation only the first is shown."""


class ImageStore:
    """Stores image files unchanged, as ab/abcdef….png below its root.

    Several threads and processes may add images at the same time, even the same one: each writes a
    file of its own and renames it into place.
    """

    def __init__(self, root: Path, own: Path | None = None) -> None:
        """Opens the store.

        Args:
            root: its folder
            own: a folder whose files never change (rendered pages): they are linked, not copied
        """
        self.root = root
        self._own = own
        self._known: dict[str, StoredImage] = {}

    def add(self, image: bytes | Path) -> StoredImage:
        """Checks the image and stores it. Raises BadImage with a reason, OSError for a full
        disk.
        """
        data = image if isinstance(image, bytes) else _read(image)
        if len(data) > MAX_FILE_BYTES:
            raise BadImage(f"{len(data):,} bytes is more than {MAX_FILE_BYTES:,}")
        digest = hashlib.sha256(data).hexdigest()
        known = self._known.get(digest)
        if known is not None:
            return known
        facts = inspect_image(data)
        path = f"{digest[:2]}/{digest}.{facts.extension}"
        if not self._linked(image, self.root / path):
            self._write(self.root / path, data)
        stored = StoredImage(digest, path, facts.width, facts.height, len(data), facts.frames)
        self._known[digest] = stored
        return stored

    def _linked(self, image: bytes | Path, path: Path) -> bool:
        """Hard-links a file of `own` into the store; False where the file system does not allow
        it.
        """
        if self._own is None or isinstance(image, bytes) or not image.is_relative_to(self._own):
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.hardlink_to(image)
        except OSError:  # also where the target exists, perhaps with another size: `_write` checks
            return False
        return True

    def _write(self, path: Path, data: bytes) -> None:
        try:
            if path.stat().st_size == len(data):
                return
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
        try:
            with partial.open("wb") as file:
                file.write(data)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise BadImage(f"{size:,} bytes is more than {MAX_FILE_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror or error}") from None
