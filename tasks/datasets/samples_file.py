"""samples.parquet: the prepared samples on disk, and the digests over them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pixtrack.tasks.records import Sample, Turn

SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("answers", pa.list_(pa.string()), nullable=False),
        pa.field("image", pa.string(), nullable=False),
        pa.field("image_path", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
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
    ]
)
"""One row a sample, sorted by index; the columns are the fields of records.Sample."""

# The size of the image file tells a later run whether the store still holds it whole.
_ON_DISK = SCHEMA.append(pa.field("image_bytes", pa.int64(), nullable=False))


def write_samples(path: Path, samples: Sequence[Sample], sizes: Mapping[str, int]) -> None:
    """Replaces the file, whole or not at all. `sizes`: image path to its file's bytes."""
    rows = [
        {**to_row(sample), "image_bytes": sizes.get(sample.image_path, 0)} for sample in samples
    ]
    table = pa.Table.from_pylist(rows, schema=_ON_DISK)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(path)


def read_samples(path: Path) -> tuple[tuple[Sample, ...], dict[str, int]]:
    """All samples in order, and the size in bytes of each image file by its path.

    Raises OSError or pyarrow.ArrowException for a file that is not there or not whole.
    """
    columns = pq.read_table(path, schema=_ON_DISK).to_pydict()
    sizes = dict(zip(columns["image_path"], columns.pop("image_bytes"), strict=True))
    sizes.pop("", None)
    names = SCHEMA.names
    samples = tuple(
        from_row(dict(zip(names, values, strict=True)))
        for values in zip(*(columns[name] for name in names), strict=True)
    )
    return samples, sizes


def to_row(sample: Sample) -> dict[str, Any]:
    """A sample as plain types."""
    row: dict[str, Any] = {name: getattr(sample, name) for name in SCHEMA.names}
    row["answers"], row["flags"] = list(sample.answers), list(sample.flags)
    row["history"] = [{"question": t.question, "answer": t.answer} for t in sample.history]
    return row


def from_row(row: dict[str, Any]) -> Sample:
    """The inverse of `to_row`."""
    return Sample(
        **{
            **row,
            "answers": tuple(row["answers"]),
            "flags": tuple(row["flags"]),
            "history": tuple(Turn(t["question"], t["answer"]) for t in row["history"]),
        }
    )


def question_digest(samples: Iterable[Sample]) -> str:
    """sha256 over everything of a dataset that can change a model's answers, and nothing else.

    Covered, for each sample in order: its index, the question, the earlier turns with their gold
    answers, the context, the image (its content hash, which stands for its size too) and whether
    it can be asked at all. Not covered: where image files lie and what they are called, the
    dataset's name and source, question ids, reasons of failures, and what only scoring reads
    (golds, types, flags: see `gold_digest`), so the same questions on the same images have the
    same digest from any source, and mended golds need scoring again, not asking again.
    """
    return _digest(
        [
            sample.index,
            sample.question,
            [[turn.question, turn.answer] for turn in sample.history],
            sample.context,
            sample.image,
            bool(sample.error),
        ]
        for sample in samples
    )


def gold_digest(samples: Iterable[Sample]) -> str:
    """sha256 over what only scoring reads: index, golds, question type, answer type, flags."""
    return _digest(
        [s.index, list(s.answers), s.question_type, s.answer_type, list(s.flags)] for s in samples
    )


def _digest(rows: Iterable[list[Any]]) -> str:
    total = hashlib.sha256()
    for row in rows:
        total.update(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())
        total.update(b"\n")
    return total.hexdigest()
