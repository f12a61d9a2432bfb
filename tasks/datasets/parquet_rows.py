"""Reading parquet: records with their errors, images out of cells, and how many fit in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH_BYTES = 8 * 2**20
"""Images handed on at once. The peak is the page that they come from, twice (compressed and not):
a row group of 100 MB of images, as DocVQA has them, prepares in 430 MB in all."""
BATCH_ROWS = 64


def records_of(table: pa.Table) -> list[tuple[dict[str, Any], str]]:
    """Each row with its error; strings that are not UTF-8 spoil their own row only."""
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
    """(the images of a row's cells, what each is called, why one cannot be used or "").

    A cell holds bytes, the datasets library's {bytes, path}, a list of either, or nothing.
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
    """How many rows of that group fit into a batch, by the mean size of their images."""
    meta = file.metadata.row_group(group)
    size = sum(
        meta.column(i).total_uncompressed_size
        for i in range(meta.num_columns)
        if meta.column(i).path_in_schema.partition(".")[0] in shown
    )
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(1, size / max(1, meta.num_rows)))))
