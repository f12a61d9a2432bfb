"""CSV and TSV with a header line.

A cell that is the text of a list is read as that list; an empty cell counts as missing.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.tasks.datasets.readers.base import FileRow

LONGEST_CELL = 64 << 20
"""Characters of the longest cell; a cell may hold an image as base64."""
DELIMITERS = (",", ";", "\t", "|")
"""Separators of cells. Excel writes semicolons in locales with a decimal comma."""


def separated(path: Path) -> Iterator[FileRow]:
    """Reads the rows; one with more cells than the header has an error."""
    with _table(path) as (header, reader):
        for cells in reader:
            if not any(cells):
                continue
            place = f"line {reader.line_num}"
            if len(cells) > len(header):
                more = f"{len(cells)} cells, but the header has {len(header)}"
                yield FileRow(place, error=more)
                continue
            cells += [""] * (len(header) - len(cells))
            yield FileRow(place, {k: v or None for k, v in zip(header, cells, strict=True)})


def separated_keys(path: Path) -> list[str]:
    """The cells of the header."""
    with _table(path) as (header, _):
        return header


@contextmanager
def _table(path: Path) -> Iterator[tuple[list[str], Any]]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open("rb") as raw:
        start = raw.read(2)
    utf_16 = start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    try:
        with path.open(encoding="utf-16" if utf_16 else "utf-8-sig", newline="") as file:
            delimiter = _delimiter(file.readline(), path)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(reader, [])
            twice = {name for name in header if header.count(name) > 1}
            if twice:
                raise UserError(
                    f"{path}: the column {min(twice)!r} is given twice: rename or remove one"
                )
            yield header, reader
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        raise UserError(f"{path}: not valid UTF-8 at byte {at}: save it as UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path}: not a table of cells ({error})") from None


def _delimiter(header: str, path: Path) -> str:
    """The usual one (a tab in a .tsv file, else a comma) or the most frequent one in the header."""
    usual = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    if usual in header:
        return usual
    return max(DELIMITERS, key=lambda one: (header.count(one), one == usual))
