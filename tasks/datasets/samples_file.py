"""samples.parquet: the prepared samples on disk, and the digests over them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pixtrack.tasks.records import Sample, SampleImage, Turn

_IMAGE = pa.struct(
    [("sha256", pa.string()), ("path", pa.string()), ("width", pa.int32()), ("height", pa.int32())]
)

SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("answers", pa.list_(pa.string()), nullable=False),
        pa.field("images", pa.list_(_IMAGE), nullable=False),
        pa.field(
            "history",
            pa.list_(pa.struct([("question", pa.string()), ("answer", pa.string())])),
            nullable=False,
        ),
        pa.field("context", pa.string(), nullable=False),
        pa.field("question_type", pa.string(), nullable=False),
        pa.field("answer_type", pa.string(), nullable=False),
        pa.field("flags", pa.list_(pa.string()), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        pa.field("options", pa.list_(pa.string()), nullable=False),
        pa.field(
            "details",
            pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())])),
            nullable=False,
        ),
        pa.field("cluster", pa.string(), nullable=False),
    ]
)
"""One row a sample, sorted by index; the columns are the fields of records.Sample."""

# The size of each image file tells a later run whether the store still holds it whole.
_ON_DISK = SCHEMA.append(pa.field("image_bytes", pa.list_(pa.int64()), nullable=False))


def write_samples(path: Path, samples: Sequence[Sample], sizes: Mapping[str, int]) -> None:
    """Writes the file, whole or not at all. `sizes` has the size in bytes of each image path."""
    rows = [
        {**to_row(sample), "image_bytes": [sizes.get(image.path, 0) for image in sample.images]}
        for sample in samples
    ]
    table = pa.Table.from_pylist(rows, schema=_ON_DISK)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(path)


def read_samples(path: Path) -> tuple[tuple[Sample, ...], dict[str, int]]:
    """All samples in order, and the size in bytes of each image file by its path.

    Files from when a sample had one image are read too. Raises OSError or
    pyarrow.ArrowException for a file that is missing or incomplete.
    """
    table = pq.read_table(path)
    rows = table.to_pylist()
    if "images" not in table.column_names:
        rows = [_of_one_image(row) for row in rows]
    sizes: dict[str, int] = {}
    for row in rows:
        shown = row.pop("image_bytes")
        sizes.update(zip((image["path"] for image in row["images"]), shown, strict=True))
    try:
        return tuple(from_row(row) for row in rows), sizes
    except (KeyError, TypeError) as error:
        raise pa.ArrowInvalid(f"{path}: not a table of samples ({error!r})") from None


def _of_one_image(row: dict[str, Any]) -> dict[str, Any]:
    """Converts a row that was written when each sample had one image (none where it was bad)."""
    if "image" not in row or "image_bytes" not in row:
        raise pa.ArrowInvalid("not a table of samples")
    image = {
        "sha256": row.pop("image"),
        "path": row.pop("image_path"),
        "width": row.pop("width"),
        "height": row.pop("height"),
    }
    size = row.pop("image_bytes")
    whole = bool(image["sha256"])
    return {**row, "images": [image] if whole else [], "image_bytes": [size] if whole else []}


def to_row(sample: Sample) -> dict[str, Any]:
    """The sample as a row of SCHEMA."""
    return {
        **{name: getattr(sample, name) for name in SCHEMA.names},
        "answers": list(sample.answers),
        "flags": list(sample.flags),
        "options": list(sample.options),
        "images": [asdict(image) for image in sample.images],
        "history": [asdict(turn) for turn in sample.history],
        "details": [{"name": name, "value": value} for name, value in sample.details],
    }


def from_row(row: dict[str, Any]) -> Sample:
    """The inverse of `to_row`."""
    return Sample(
        **{
            **row,
            "answers": tuple(row["answers"]),
            "flags": tuple(row["flags"]),
            "options": tuple(row.get("options", ())),
            "images": tuple(SampleImage(**image) for image in row["images"]),
            "history": tuple(Turn(**turn) for turn in row["history"]),
            "details": tuple((one["name"], one["value"]) for one in row.get("details", ())),
        }
    )


def question_digest(samples: Iterable[Sample]) -> str:
    """sha256 over everything of a dataset that can change a model's answers, and nothing else.

    Covered, for each sample in order: its index, the question, the earlier turns with their gold
    answers, the context, the images (their content hashes, which stand for their sizes too), the
    options, and whether it can be asked at all.

    Not covered: paths and names of image files, the dataset's name and source, question ids,
    reasons of failures, and what only scoring reads (golds, types, flags: see `gold_digest`). So
    the same questions on the same images have the same digest from any source, and corrected golds
    need scoring again, not asking again.
    """
    return _digest(
        [
            sample.index,
            sample.question,
            [[turn.question, turn.answer] for turn in sample.history],
            sample.context,
            # The form from when each sample had one image: old datasets keep their digest.
            sample.image if len(sample.images) < 2 else [i.sha256 for i in sample.images],
            bool(sample.error),
            *([list(sample.options)] if sample.options else []),
        ]
        for sample in samples
    )


def gold_digest(samples: Iterable[Sample]) -> str:
    """sha256 over what only scoring reads: index, golds, types, flags, details and cluster."""
    return _digest(
        [
            *(s.index, list(s.answers), s.question_type, s.answer_type, list(s.flags)),
            *([[list(one) for one in s.details], s.cluster] if s.details or s.cluster else []),
        ]
        for s in samples
    )


def _digest(rows: Iterable[list[Any]]) -> str:
    total = hashlib.sha256()
    for row in rows:
        total.update(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())
        total.update(b"\n")
    return total.hexdigest()
