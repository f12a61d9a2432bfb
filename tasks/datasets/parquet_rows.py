"""Reads parquet tables: records with their errors, images in cells, and batches that fit in
memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH_BYTES = 8 * 2**20
"""Bytes of images in one batch. Peak memory is decided by the column page that they come from,
which is held twice (compressed and not): preparing DocVQA, with row groups of 100 MB of images,
takes 430 MB in all."""
BATCH_ROWS = 64


def records_of(table: pa.Table) -> list[tuple[dict[str, Any], str]]:
    """Each row with its error ("" where it has none): a string that is not UTF-8 affects its row
    alone.
    """
    try:
        return [(record, "") for record in table.to_pylist()]
    except UnicodeDecodeError:
        found: list[tuple[dict[str, Any], str]] = []
        for number in range(table.num_rows):
            try:
                found.append((table.slice(number, 1).to_pylist()[0], ""))
            except UnicodeDecodeError as error:
                found.append(({}, f"not valid UTF-8 ({error.reason})"))
        return found


def images_of(cells: Sequence[pa.Scalar], where: str) -> tuple[list[bytes], list[str], str]:
    """Takes the images out of a row's cells.

    Args:
        cells: each holds bytes, the datasets library's {bytes, path}, a list of either, or nothing
        where: the row's place, for messages

    Returns:
        the images, the name of each, and why one cannot be used ("" where all can)
    """
    images: list[bytes] = []
    names: list[str] = []
    error = ""
    for cell in cells:
        value = cell.as_py()
        for data in value if isinstance(value, list) else [value]:
            name = where
            if isinstance(data, Mapping):  # the datasets library's Image feature
                name = f"{data.get('path') or 'image'} ({where})"
                data = data.get("bytes")
            if isinstance(data, bytes):
                images.append(data)
                names.append(name)
            elif data is not None:
                error = error or f"{where}: the image is {type(data).__name__}, not bytes"
    return images, names, error


def batch_rows(file: pq.ParquetFile, group: int, shown: Sequence[str]) -> int:
    """How many rows of the row group fit into BATCH_BYTES, by the mean size of the shown images."""
    meta = file.metadata.row_group(group)
    size = sum(
        meta.column(i).total_uncompressed_size
        for i in range(meta.num_columns)
        if meta.column(i).path_in_schema.partition(".")[0] in shown
    )
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(1, size / max(1, meta.num_rows)))))
