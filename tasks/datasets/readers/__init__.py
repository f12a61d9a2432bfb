"""What people have their questions in: one row and one module a kind of file.

A reader gives records by the file's own keys; `fields_found` says which of them mean what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.tasks.datasets.readers.base import FileRow
from pixtrack.tasks.datasets.readers.json_document import json_document
from pixtrack.tasks.datasets.readers.json_lines import json_lines
from pixtrack.tasks.datasets.readers.parquet import parquet
from pixtrack.tasks.datasets.readers.tabular import comma_separated, tab_separated

__all__ = ["READERS", "FileRow", "kind_of", "read_rows"]

READERS: dict[str, Callable[[Path], Iterator[FileRow]]] = {
    "JSON Lines": json_lines,
    "JSON": json_document,
    "CSV": comma_separated,
    "TSV": tab_separated,
    "parquet": parquet,
}

_BY_SUFFIX = {
    ".csv": "CSV",
    ".tsv": "TSV",
    ".tab": "TSV",
    ".parquet": "parquet",
    ".jsonl": "JSON Lines",
}


def kind_of(path: Path) -> str:
    """The kind of file: by its name, and for JSON by whether its first line is a whole object.

    Raises UserError for a file that is not there.
    """
    if path.is_dir():
        return "parquet"
    if not path.is_file():
        raise UserError(f"{path}: no such file (--qa-file)")
    known = _BY_SUFFIX.get(path.suffix.lower())
    if known is not None and known != "JSON Lines":
        return known
    with path.open("rb") as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
        file.seek(0)
        lines = sum(1 for line in file if line.strip())
    if start[:4] == b"PAR1":
        return "parquet"
    if start.startswith(b"[") or (lines > 1 and start.split(b"\n")[0].strip() in (b"{", b"[")):
        return "JSON"
    return (
        "JSON" if known is None and lines == 1 and path.suffix.lower() == ".json" else "JSON Lines"
    )


def read_rows(path: Path) -> Iterator[FileRow]:
    """The file's records, by its own keys. Raises UserError where it cannot be read at all."""
    return READERS[kind_of(path)](path)
