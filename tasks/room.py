"""What takes the room in the data home, and what of it can go: `pixtrack clean`.

Answers, scores, MLflow's runs and the user's own configurations are never among what can go.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets.samples_file import read_samples
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.runs.lock import RunLock

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken:
    """One kind of thing in the data home."""

    kind: str
    """A row of KINDS; "runs", "MLflow" or "the rest" for what cannot go."""
    what: str
    """What it is, in words."""
    paths: tuple[Path, ...]
    bytes: int
    back: str = ""
    """How it comes back where it is needed; "" for what cannot go."""


@dataclass(frozen=True)
class _Kind:
    what: str
    back: str
    find: Callable[[Home], Iterable[Path]]


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("*") if path.is_dir())


def _partials(home: Home) -> list[Path]:
    """What interrupted downloads and preparations left, and deletions that were cut off."""
    found = [*home.root.glob(".deleted/*"), *home.images.glob("*/.*.partial")]
    for parent in (home.models, home.datasets, home.root / "hub"):
        found += parent.glob("**/.pixtrack-partial")
    return sorted(found)


def _unused_images(home: Home) -> list[Path]:
    """Images that no prepared dataset has, and no run was asked about."""
    stored = {path for path in home.images.glob("??/*") if not path.name.startswith(".")}
    used: set[str] = set()
    for file in home.datasets.glob("*/samples.parquet"):
        try:
            samples, _ = read_samples(file)
        except (OSError, ValueError):
            logger.warning("%s: cannot be read, so no image is called unused", file)
            return []
        used.update(Path(image.path).name for sample in samples for image in sample.images)
    # A run may be older than its dataset's present samples, and then has other images.
    for file in home.runs.glob("*/*/run.json"):
        used.update(_images_of_run(RunDirectory(file.parent)))
    return sorted(path for path in stored if path.name not in used)


def _images_of_run(run: RunDirectory) -> Iterator[str]:
    """The names of the images that the run was asked about."""
    if run.requests_file.is_file():
        with run.requests_file.open(encoding="utf-8") as lines:
            for line in lines:
                yield from (Path(image["path"]).name for image in json.loads(line)["images"])
    if run.scores_file.is_file():
        table = pq.read_table(run.scores_file)
        for column in {"image_path", "images"} & set(table.column_names):
            for cell in table[column].to_pylist():
                paths = cell if isinstance(cell, list) else [cell]
                yield from (Path(path).name for path in paths if path)


KINDS: dict[str, _Kind] = {
    "models": _Kind(
        "model files", "downloaded again when a model is used", lambda home: _folders(home.models)
    ),
    "datasets": _Kind(
        "prepared datasets",
        "prepared again when a dataset is asked",
        lambda home: _folders(home.datasets),
    ),
    "images": _Kind(
        "images that no prepared dataset and no run shows",
        "prepared again with their dataset",
        _unused_images,
    ),
    "pages": _Kind(
        "rendered pages of PDFs",
        "rendered again when a dataset is prepared",
        lambda home: _folders(home.pages),
    ),
    "compiled": _Kind(
        "what engines compiled",
        "compiled again at an engine's next start",
        lambda home: _folders(home.compiled),
    ),
    "partials": _Kind(
        "what interrupted downloads left", "downloaded from the beginning", _partials
    ),
    "logs": _Kind(
        "logs", "nothing needs them", lambda home: sorted((home.root / "logs").glob("*"))
    ),
}
"""What can go: the word for the command line to what it is, how it comes back, and where it is."""


def taken(home: Home) -> list[Taken]:
    """What takes the room, the largest first, and beneath it what cannot go."""
    found = [
        Taken(kind, row.what, paths, sum(map(_size, paths)), row.back)
        for kind, row in KINDS.items()
        if (paths := tuple(row.find(home)))
    ]
    kept = [
        ("runs", "answers and scores (`pixtrack runs delete` asks for each)", (home.runs,)),
        ("MLflow", "MLflow's runs", (home.mlflow_db, home.mlflow_artifacts)),
        ("images", "images that datasets or runs show", (home.images,)),
    ]
    unused = sum(one.bytes for one in found if one.kind == "images")
    for kind, what, paths in kept:
        size = sum(map(_size, paths)) - (unused if kind == "images" else 0)
        if size > 0:
            found.append(Taken(kind, what, (), size))
    return sorted(found, key=lambda one: (not one.back, -one.bytes))


def remove(home: Home, kinds: Sequence[str]) -> int:
    """Removes everything of these kinds; returns the bytes.

    Raises UserError, before anything is removed, for a kind that does not exist and while another
    command works on the datasets or models.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown_name("kind of thing to clean", kind, KINDS)
    _refuse_while_asked(home)
    chosen = [one for one in taken(home) if one.kind in kinds and one.back]
    size = 0
    for one in chosen:
        for path in one.paths:
            size += _remove(path)
    return size


def _refuse_while_asked(home: Home) -> None:
    """Raises UserError while a command asks the questions of a run: it needs what could go."""
    for file in home.runs.glob("*/*/run.json"):
        with RunLock(RunDirectory(file.parent)):
            pass


def _remove(path: Path) -> int:
    """Removes one file or folder whole; returns its bytes. A locked one is refused."""
    size = _size(path)
    lock = path.parent / f".{path.name}.lock"
    if not lock.exists():
        _unlink(path)
        return size
    try:
        with FileLock(lock, timeout=0):
            _unlink(path)
    except Timeout:
        raise UserError(
            f"{path}: another command is at work on it: wait for it or stop it"
        ) from None
    return size


def _unlink(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Bytes of a file, or of everything in a folder; a link is not followed."""
    if path.is_symlink() or not path.exists():
        return 0
    if path.is_file():
        return path.stat().st_size
    return sum(
        one.stat().st_size for one in path.rglob("*") if one.is_file() and not one.is_symlink()
    )
