"""Parquet: one file, or a folder of them, read a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pixtrack.configs.errors import UserError
from pixtrack.tasks.datasets.readers.base import FileRow

BATCH_ROWS = 32


def parquet(path: Path) -> Iterator[FileRow]:
    """The rows of the file, or of the folder's files in the order of their names."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path}: no .parquet file in this folder")
    for file in files:
        number = 0
        try:
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(batch_size=BATCH_ROWS):
                    for row in batch.to_pylist():
                        number += 1
                        yield FileRow(f"{file.name} row {number}", row)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{file}: cannot be read behind row {number} ({reason})") from None
