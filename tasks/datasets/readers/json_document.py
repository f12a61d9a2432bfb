"""One JSON document: a list of rows, or an object that holds one.

Objects that are understood: DocVQA's `{"data": […]}`, VQA's `{"questions": […]}` and
`{"annotations": […]}`, and objects by id (`{"1": {…}, "2": {…}}`), whose keys become the question
ids of rows without one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.tasks.datasets.readers.base import FileRow, keys_of, parse_json

LISTS = ("data", "questions", "annotations", "samples", "rows", "examples", "items")

ONE_ROW = ("question", "conversations", "messages")
"""Keys that show that an object is a single row."""


def json_document(path: Path) -> Iterator[FileRow]:
    """Reads the rows. Raises UserError for a document without rows."""
    try:
        data = parse_json(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    for number, row in enumerate(_rows(data, path), 1):
        if isinstance(row, dict):
            yield FileRow(f"item {number}", row)
        else:
            found = type(row).__name__
            yield FileRow(f"item {number}", error=f"expected an object, found {found}")


def json_document_keys(path: Path) -> list[str]:
    """The keys of all rows."""
    return keys_of(json_document(path))


def _rows(data: Any, path: Path) -> list[Any]:
    if isinstance(data, list):
        return data
    if isinstance(data, dict):
        for key in LISTS:
            if isinstance(data.get(key), list):
                rows: list[Any] = data[key]
                return rows
        if data and all(isinstance(row, dict) for row in data.values()):
            return [{"question_id": key, **row} for key, row in data.items()]
        if any(isinstance(data.get(key), str | list) for key in ONE_ROW):
            return [data]
    raise UserError(
        f"{path}: holds no list of questions: a list of objects is expected, or an object with one "
        f"as {', '.join(LISTS)}"
    )
