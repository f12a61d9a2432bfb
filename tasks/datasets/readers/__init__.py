"""Readers of the kinds of file that users keep questions in: one row of READERS and one module
each.

A reader returns records with the file's own keys; `understanding` decides what the keys mean.
"""

from __future__ import annotations

from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.tasks.datasets.readers.base import FileRow, Reader
from pixtrack.tasks.datasets.readers.json_document import json_document, json_document_keys
from pixtrack.tasks.datasets.readers.json_lines import json_lines, json_lines_keys
from pixtrack.tasks.datasets.readers.parquet import parquet, parquet_files, parquet_keys
from pixtrack.tasks.datasets.readers.tabular import separated, separated_keys
from pixtrack.tasks.images import known_kind

__all__ = ["READERS", "FileRow", "Reader", "kind_of", "question_file"]

READERS: dict[str, Reader] = {
    "JSON Lines": Reader(json_lines, json_lines_keys),
    "JSON": Reader(json_document, json_document_keys),
    "CSV": Reader(separated, separated_keys),
    "TSV": Reader(separated, separated_keys),
    "parquet": Reader(parquet, parquet_keys),
}

_BY_SUFFIX = {".csv": "CSV", ".tsv": "TSV", ".tab": "TSV", ".parquet": "parquet"}
_SUFFIXES = (*_BY_SUFFIX, ".jsonl", ".ndjson", ".json")
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")


def question_file(path: Path, option: str) -> Path:
    """The path to read: a file itself; for a folder, the folder if it holds parquet, else its file.

    Args:
        path: what the user gave
        option: the option that it was given by, for messages

    Raises:
        UserError: it does not exist, or the folder has no file of questions, or several
    """
    if not path.is_dir():
        if not path.is_file():
            raise UserError(f"{path}: no such file: correct {option}")
        return path
    if parquet_files(path):
        return path
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
    if len(files) == 1:
        return files[0]
    found = ", ".join(file.name for file in files[:5]) or "none"
    raise UserError(
        f"{path}: a folder with one file of questions ({', '.join(_SUFFIXES)}) is expected, and it "
        f"has {found}: name the file ({option})"
    )


def kind_of(path: Path) -> str:
    """The kind of a file, a key of READERS.

    It is recognised by the file's name, and JSON Lines by a first line that is a whole object.
    Raises UserError for a file that cannot be opened and for one of an unknown kind.
    """
    if path.is_dir():
        return "parquet"
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    if start.startswith(b"PAR1"):
        return "parquet"
    other = "an image" if start.startswith(_IMAGES) else known_kind(start)
    if other is not None:
        raise UserError(f"{path}: not a file of questions but {other}")
    named = _BY_SUFFIX.get(path.suffix.lower())
    return named if named is not None else _kind_of_json(path, start)


def _kind_of_json(path: Path, start: bytes) -> str:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    lines = path.suffix.lower() in (".jsonl", ".ndjson")
    if text.startswith(b"[") and not lines:
        return "JSON"
    if text.split(b"\n")[0].strip() in (b"{", b"["):
        return "JSON"
    if lines or not text.startswith(b"{"):
        return "JSON" if text.startswith(b"[") and _is_document(path) else "JSON Lines"
    return "JSON" if _has_one_line(path) else "JSON Lines"


def _has_one_line(path: Path) -> bool:
    with path.open("rb") as file:
        filled = (line for line in file if line.strip())
        next(filled, None)
        return next(filled, None) is None


def _is_document(path: Path) -> bool:
    """Whether a file that is named as JSON Lines is in fact one JSON list."""
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"").rstrip()
    return not first.endswith(b"]") or _has_one_line(path)
