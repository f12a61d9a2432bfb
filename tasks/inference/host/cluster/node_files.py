"""What a node needs of the driver's files: the model's, and the images of its questions."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download import fetch_model, local_files, model_identity
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.runs.protocol import Order


def files_on_node(
    model: ModelConfig,
    driver_dir: Path,
    home: Home,
    node: str,
    digest: str,
    progress: Callable[[int, int], None],
) -> Path:
    """The directory with the model's files on this machine, which is not the driver's.

    The driver's own path where this machine sees it (a shared disk), else this machine's data home,
    to which they are downloaded if need be, once for all replicas.

    Raises UserError where they cannot be had, and where they are others than the driver's.
    """
    if driver_dir.is_dir():
        files = driver_dir
    else:
        found = local_files(model, home)
        files = fetch_model(model, home, progress=progress) if found is None else found
    identity = model_identity(model, files, home)
    if digest and identity.get("files") != digest:
        raise UserError(
            f"{node}: {files}: these are not the files of {model.name} that the driver has: remove "
            "them, and they are downloaded again"
        )
    return files


@dataclass
class Resolved:
    """An order with its images where they are on this node."""

    order: Order
    absent: dict[str, str] = field(default_factory=dict)
    """sha256 to the driver's path, of images that are not here."""


class NodeImages:
    """Finds images on a node: where the driver has them (a shared disk), else in a store by hash.

    The store is the image store of the node's own data home. Used from several threads.
    """

    def __init__(self, home: Home) -> None:
        self._store = home.images
        self._lock = threading.Lock()
        self._found: dict[str, str] = {}
        """By sha256; "" for one that cannot be had at all."""
        self._asked: set[str] = set()

    def resolve(self, order: Order) -> Resolved:
        """The order with this node's paths; or the images that keep it from being asked."""
        absent: dict[str, str] = {}
        requests = []
        for request in order.requests:
            images = []
            for image in request.get("images", ()):
                path = self._path(image)
                if path is None:
                    absent[image["sha256"]] = image["path"]
                images.append({**image, "path": path or image["path"]})
            requests.append({**request, "images": images})
        return Resolved(order.model_copy(update={"requests": tuple(requests)}), absent)

    def to_ask_for(self, absent: Mapping[str, str]) -> dict[str, str]:
        """Those of the absent images that were not asked for before."""
        with self._lock:
            new = {digest: path for digest, path in absent.items() if digest not in self._asked}
            self._asked.update(new)
        return new

    def keep(self, images: Mapping[str, bytes]) -> None:
        """Writes image files into the store, by their hash; b"" says that there is no such file.

        One whose bytes are not those of its hash counts as not there.
        """
        for digest, data in images.items():
            path = ""
            if data and hashlib.sha256(data).hexdigest() == digest:
                file = self._in_store(digest)
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(file, data)
                path = str(file)
            with self._lock:
                self._found[digest] = path

    def _path(self, image: Mapping[str, Any]) -> str | None:
        """Where the image is; its own path where nobody has it; None where it has to be sent."""
        digest, given = str(image["sha256"]), str(image["path"])
        if not digest:
            return given
        with self._lock:
            known = self._found.get(digest)
        if known is not None:
            return known or given
        for path in (Path(given), self._in_store(digest)):
            if _is(path, digest):
                with self._lock:
                    self._found[digest] = str(path)
                return str(path)
        return None

    def _in_store(self, digest: str) -> Path:
        return self._store / "sent" / digest[:2] / digest


def _is(path: Path, digest: str) -> bool:
    """Whether the file is there and is that image. Files named by their hash are believed."""
    if not path.is_file():
        return False
    return path.stem == digest or hashlib.sha256(path.read_bytes()).hexdigest() == digest
