"""Makes a prepared dataset of a source's rows: checks and stores images, writes the samples.

The work is journalled batch by batch, so that an interrupted preparation goes on where it stopped.
A lock lets one process prepare a dataset while others wait for its result.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from filelock import FileLock, Timeout

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets.image_store import ImageStore, StoredImage
from pixtrack.tasks.datasets.manifest import Manifest, folder, read_manifest
from pixtrack.tasks.datasets.preparation_journal import Progress
from pixtrack.tasks.datasets.row_check import row_problem
from pixtrack.tasks.datasets.rows import BytesCallback, RawImage, RawRow, Source
from pixtrack.tasks.datasets.sample_settings import sample_settings
from pixtrack.tasks.datasets.samples_file import (
    gold_digest,
    question_digest,
    read_samples,
    write_samples,
)
from pixtrack.tasks.datasets.sources import source_kind
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.images import BadImage
from pixtrack.tasks.records import PreparedDataset, Sample, SampleImage

logger = logging.getLogger(__name__)

ANIMATIONS = "animations_shown_by_their_first_frame"
"""The note that counts the questions on an animation, of which the first frame is shown."""

ProgressCallback = Callable[[int, int], None]
"""Called with the rows done and the rows expected (0: unknown)."""


def load_prepared(config: DatasetConfig, home: Home) -> PreparedDataset | None:
    """The prepared dataset; None where it has to be prepared, or prepared again.

    It has to be prepared again when the configuration asks for other samples, when the annotation
    file or an image of the source's folder has changed, when samples.parquet does not match its
    digest, or when an image is missing from the store. Needs no network.
    """
    directory = folder(home, config.name)
    manifest = read_manifest(directory)
    if manifest is None or manifest.settings != sample_settings(config):
        return None
    if manifest.source.get("stamp") != source_kind(config).stamp(config, manifest.source):
        return None
    try:
        samples, sizes = read_samples(directory / "samples.parquet")
    except (OSError, pa.ArrowException):
        return None
    digests = (question_digest(samples), gold_digest(samples))
    if digests != (manifest.digest, manifest.gold_digest) or not _stored(home.images, sizes):
        return None
    source = {
        **manifest.source,
        "gold_digest": manifest.gold_digest,
        "failed": manifest.failed,
        "notes": manifest.notes,
    }
    return PreparedDataset(
        name=config.name,
        directory=directory,
        images=home.images,
        digest=manifest.digest,
        samples=samples,
        source=source,
    )


def prepare(
    config: DatasetConfig,
    home: Home,
    progress: ProgressCallback | None = None,
    on_bytes: BytesCallback | None = None,
) -> PreparedDataset:
    """The dataset, prepared first where that has not been done.

    A row that cannot be asked (bad image, damaged line) is kept with its error.

    Args:
        config: the dataset
        home: the data home
        progress: called after every batch
        on_bytes: called while files are fetched, from another thread

    Raises:
        UserError: the source cannot be reached or read, or none of its rows can be asked
    """
    ready = load_prepared(config, home)
    if ready is not None:
        return ready
    try:
        home.datasets.mkdir(parents=True, exist_ok=True)
        with _lock(home, config.name):
            ready = load_prepared(config, home)  # another process may have prepared it meanwhile
            if ready is None:
                _prepare(config, home, progress or (lambda *_: None), on_bytes)
                ready = load_prepared(config, home)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise UserError(
                f"{home.root}: cannot be written ({error.strerror}) while preparing"
                f" {config.name}: make room or set PIXTRACK_HOME, then run again: it goes on"
                " where it stopped"
            ) from None
        raise
    if ready is None:
        raise UserError(
            f"dataset {config.name}: its source changed while it was prepared: run again"
        )
    return ready


def _lock(home: Home, name: str) -> AbstractContextManager[object]:
    lock = FileLock(home.datasets / f".{name}.lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        logger.warning("another process is preparing %s: waiting for it", name)
        return lock.acquire()


def _prepare(
    config: DatasetConfig,
    home: Home,
    progress: ProgressCallback,
    on_bytes: BytesCallback | None,
) -> None:
    started = time.monotonic()
    directory = folder(home, config.name)
    source = source_kind(config).open(config, home, on_bytes)
    try:
        work = Progress(
            directory / ".work",
            {"settings": sample_settings(config), "source": source.identity, "rows": 2},
        )
        with work:
            if not _stored(home.images, work.sizes):
                work.start_over()
            total = source.total or config.questions
            _take_rows(
                source,
                work,
                ImageStore(home.images, own=home.pages),
                lambda done: progress(done, total),
            )
            _finish(config, directory, source, work, started)
    finally:
        source.close()
    shutil.rmtree(directory / ".work", ignore_errors=True)


def _take_rows(
    source: Source, work: Progress, store: ImageStore, progress: Callable[[int], None]
) -> None:
    # Hashing, checksums and file writes release the interpreter's lock.
    threads = min(4, os.cpu_count() or 1)
    by_path: dict[Path, StoredImage | str] = {}
    with ThreadPoolExecutor(threads, thread_name_prefix="images") as pool:
        progress(len(work.samples))
        for batch in source.batches(work.cursor):
            images = _store_images(batch.rows, store, by_path, pool)
            samples = [_sample(row, shown) for row, shown in zip(batch.rows, images, strict=True)]
            stored = [i for shown in images for i in shown if isinstance(i, StoredImage)]
            sizes = {image.path: image.bytes for image in stored}
            animated = sum(image.frames > 1 for image in stored)
            notes = {**batch.notes, **({ANIMATIONS: animated} if animated else {})}
            work.add(samples, sizes, batch.cursor, notes)
            progress(len(work.samples))


def _store_images(
    rows: Sequence[RawRow],
    store: ImageStore,
    by_path: dict[Path, StoredImage | str],
    pool: ThreadPoolExecutor,
) -> list[list[StoredImage | str]]:
    """Stores the images of the rows.

    Args:
        rows: the rows
        store: where images go
        by_path: what became of each image file that was met before; extended
        pool: runs the work

    Returns:
        for each row, its images in order; a string in place of an image says why it is bad
    """

    def add(image: RawImage) -> StoredImage | str:
        try:
            return store.add(image)
        except BadImage as error:
            return str(error)

    every = [image for row in rows for image in row.images]
    new = {image for image in every if isinstance(image, Path)} - by_path.keys()
    by_path.update(zip(new, pool.map(add, new), strict=True))
    loose = iter(list(pool.map(add, [image for image in every if isinstance(image, bytes)])))
    return [
        [by_path[image] if isinstance(image, Path) else next(loose) for image in row.images]
        for row in rows
    ]


def _sample(row: RawRow, images: Sequence[StoredImage | str]) -> Sample:
    problem = row_problem(row, images)
    return Sample(
        index=row.index,
        question_id=row.question_id,
        question=row.question,
        answers=row.answers,
        images=tuple(
            SampleImage(image.sha256, image.path, image.width, image.height)
            for image in images
            if isinstance(image, StoredImage)
        ),
        history=row.history,
        context=row.context,
        question_type=row.question_type,
        answer_type=row.answer_type,
        flags=row.flags,
        options=row.options,
        details=row.details,
        cluster=row.cluster,
        error=f"row {row.index}: {problem}" if problem else "",
    )


def _finish(
    config: DatasetConfig, directory: Path, source: Source, work: Progress, started: float
) -> None:
    samples, found = source.finish(sorted(work.samples, key=lambda sample: sample.index))
    failed = [sample for sample in samples if sample.error]
    if len(failed) == len(samples):
        work.start_over()
        what = f"none of its {len(samples)} rows can be asked; {failed[0].error}" if failed else ""
        raise UserError(f"dataset {config.name}: {what or 'its source has no rows'}")
    write_samples(directory / "samples.parquet", samples, work.sizes)
    ids = Counter(sample.question_id for sample in samples if sample.question_id)
    notes = {
        **work.notes,
        **found,
        "duplicate_question_ids": sum(ids.values()) - len(ids),
        "without_gold": sum(not sample.answers for sample in samples if not sample.error),
    }
    manifest = Manifest(
        name=config.name,
        digest=question_digest(samples),
        gold_digest=gold_digest(samples),
        samples=len(samples),
        failed=len(failed),
        images=len({image.sha256 for sample in samples for image in sample.images}),
        image_bytes=sum(work.sizes.values()),
        settings=sample_settings(config),
        source=source.identity,
        notes={key: count for key, count in notes.items() if count},
        prepared_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 3),
    )
    write_atomically(directory / "dataset.json", manifest.model_dump_json(indent=2))


def _stored(images: Path, sizes: dict[str, int]) -> bool:
    """Whether the store still holds every image, whole."""
    try:
        return all((images / path).stat().st_size == size for path, size in sizes.items())
    except OSError:
        return False
