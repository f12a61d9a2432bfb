"""Parquet: one file, or a folder of them, read a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pixtrack.configs.errors import UserError
from pixtrack.tasks.datasets.parquet_rows import records_of
from pixtrack.tasks.datasets.readers.base import FileRow

BATCH_ROWS = 16
"""Rows read at once. A row is held with its images, which may take some megabytes."""
_UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError)


def parquet(path: Path) -> Iterator[FileRow]:
    """The rows of the file, or of the folder's files in the order of their names."""
    files = parquet_files(path)
    for file in files:
        number = 0
        try:
            with _opened(file) as opened:
                for batch in opened.iter_batches(batch_size=BATCH_ROWS):
                    for values, error in records_of(pa.Table.from_batches([batch])):
                        number += 1
                        place = f"row {number}" if len(files) == 1 else f"{file.name} row {number}"
                        yield FileRow(place, values, error)
        except _UNREADABLE as error:
            raise _refused(file, f"cannot be read behind row {number}", error) from None


def parquet_keys(path: Path) -> list[str]:
    """The columns of the files."""
    found: dict[str, None] = {}
    for file in parquet_files(path):
        try:
            with _opened(file) as opened:
                found |= dict.fromkeys(opened.schema_arrow.names)
        except _UNREADABLE as error:
            raise _refused(file, "not readable parquet", error) from None
    return list(found)


def parquet_files(path: Path) -> list[Path]:
    """The file; of a folder its parquet files, or those of its subfolders where it has none
    itself.
    """
    if not path.is_dir():
        return [path]
    return sorted(path.glob("*.parquet")) or sorted(path.rglob("*.parquet"))


def _opened(file: Path) -> Any:
    opened = pq.ParquetFile(file)
    names = opened.schema_arrow.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        opened.close()
        raise UserError(f"{file}: the column {twice!r} is given twice: rename or remove one")
    return opened


def _refused(file: Path, what: str, error: Exception) -> UserError:
    return UserError(f"{file}: {what} ({' '.join(str(error).split())[:200]})")
