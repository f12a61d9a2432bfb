"""JSON Lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pixtrack.tasks.datasets.readers.base import FileRow, keys_of, parse_json


def json_lines(path: Path) -> Iterator[FileRow]:
    """The lines that are not blank."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            line = raw.removeprefix(b"\xef\xbb\xbf").strip()
            if not line:
                continue
            place = f"line {number}"
            try:
                data = parse_json(line)
            except ValueError as error:
                yield FileRow(place, error=str(error))
                continue
            if isinstance(data, dict):
                yield FileRow(place, data)
            else:
                found = type(data).__name__
                yield FileRow(place, error=f"expected a JSON object, found {found}")


def json_lines_keys(path: Path) -> list[str]:
    """The keys of all lines; not every line need have them all."""
    return keys_of(json_lines(path))
