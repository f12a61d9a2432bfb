"""Reads samples from an annotation file alone, without images, to score predictions made elsewhere.

The image's name takes the place of its content hash, so questions are grouped by name; image sizes
are unknown (0).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets.annotations import (
    Record,
    columns_of,
    names_of,
    read_records,
    record_values,
)
from pixtrack.tasks.datasets.fields import REQUIRED_TO_SCORE, to_row
from pixtrack.tasks.datasets.sources import source_kind
from pixtrack.tasks.records import Sample, SampleImage


def annotation_samples(path: Path, config: DatasetConfig) -> list[Sample]:
    """The samples of an annotation file in the dataset's row format, in file order.

    The file has one JSON object a line, or is one JSON document: a list of objects, or an object of
    objects by id (MathVista). Each image has the path that the file names and no hash. A row that
    cannot be used has the reason in `error`, with file and line. Raises UserError for a missing or
    empty file, and where no row at all can be used, because the file has another format or belongs
    to another dataset.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such annotation file"
        raise UserError(f"{path}: {what}: name the dataset's annotation JSONL")
    columns = columns_of(source_kind(config).annotation_columns(config), config.name)
    required = REQUIRED_TO_SCORE.get(config.row_format, ("question", "answers"))
    document = _document(path)
    records: Iterator[Record]
    if document is None:
        records, place = read_records(path, columns, required=required), "line"
    else:
        records, place = _records_of(document, columns, required), "row"
    samples = []
    for record in records:
        error = f"{path.name} {place} {record.line}: {record.error}" if record.error else ""
        shown = [str(name) for name in names_of(record.values.get("image"))]
        row = to_row(config.row_format, record.index, record.values, (), shown, error)
        problem = row.error or ("" if row.answers else "no gold answer")
        if problem and not error:
            problem = f"{path.name} {place} {record.line}: {problem}"
        samples.append(
            Sample(
                index=row.index,
                question_id=row.question_id,
                question=row.question,
                answers=row.answers,
                images=tuple(SampleImage("", name, 0, 0) for name in row.image_names if name),
                history=row.history,
                context=row.context,
                question_type=row.question_type,
                answer_type=row.answer_type,
                flags=row.flags,
                options=row.options,
                details=row.details,
                cluster=row.cluster,
                error=problem,
            )
        )
    if not samples:
        raise UserError(f"{path}: the annotation file has no rows: name another file")
    if all(sample.error for sample in samples):
        raise UserError(
            f"{samples[0].error}; no row of the file can be read as a row of {config.name} "
            f"(row_format {config.row_format})"
        )
    return samples


def _document(path: Path) -> list[Any] | None:
    """The rows of a file that is one JSON document; None for a file with one object a line."""
    first = _first_line(path)
    if not first.startswith(b"[") and _is_row(first):
        return None
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):  # read_records says which line is wrong
        return None
    if isinstance(document, list):
        return document
    rows = list(document.values()) if isinstance(document, dict) else []
    return rows if rows and all(isinstance(row, dict) for row in rows) else [document]


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        lines = (line.removeprefix(b"\xef\xbb\xbf").strip() for line in file)
        return next((line for line in lines if line), b"")


def _is_row(line: bytes) -> bool:
    """Whether the line is a whole JSON object that is a row itself, not a mapping of ids to
    rows.
    """
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and not all(isinstance(value, dict) for value in data.values())


def _records_of(
    rows: Sequence[Any], columns: dict[str, str], required: Sequence[str]
) -> Iterator[Record]:
    """The rows of a JSON document, numbered from 1 as lines are."""
    for index, row in enumerate(rows):
        values, error = record_values(row, columns, required)
        yield Record(index, index + 1, values, error, 0)
