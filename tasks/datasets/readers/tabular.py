"""CSV and TSV with a header line. A cell that is the text of a list is a list."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.tasks.datasets.readers.base import FileRow
from pixtrack.tasks.literals import read_list

LONGEST_CELL = 16 << 20


def separated(path: Path, delimiter: str) -> Iterator[FileRow]:
    """The rows; a row of more cells than the header has an error."""
    csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            header = next(reader, [])
            twice = {name for name in header if header.count(name) > 1}
            if twice:
                raise UserError(f"{path}: the column {min(twice)!r} is given twice")
            for cells in reader:
                if not any(cells):
                    continue
                place = f"line {reader.line_num}"
                if len(cells) > len(header):
                    more = f"{len(cells)} cells, but the header has {len(header)}"
                    yield FileRow(place, error=more)
                else:
                    named = zip(header, cells, strict=False)
                    yield FileRow(place, {name: _value(cell) for name, cell in named if cell})
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not valid UTF-8 at byte {error.start}: save it as UTF-8"
        ) from None
    except csv.Error as error:
        raise UserError(f"{path}: not a table of cells ({error})") from None


def comma_separated(path: Path) -> Iterator[FileRow]:
    """A CSV file."""
    return separated(path, ",")


def tab_separated(path: Path) -> Iterator[FileRow]:
    """A TSV file."""
    return separated(path, "\t")


def _value(cell: str) -> Any:
    items = read_list(cell) if cell.startswith("[") else None
    return cell if items is None else list(items)
