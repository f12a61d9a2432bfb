"""The source `annotations`: a JSON Lines file of questions and golds, and a folder of images."""

from __future__ import annotations

import hashlib
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import config_file
from pixtrack.configs.schema import AnnotationDataset, DatasetConfig
from pixtrack.tasks.datasets.fields import FIELDS, REQUIRED, to_row
from pixtrack.tasks.datasets.pdf_pages import PdfPages
from pixtrack.tasks.datasets.readers.base import parse_json
from pixtrack.tasks.datasets.rows import Batch, RawRow
from pixtrack.tasks.images import BadImage
from pixtrack.tasks.records import Sample

COLUMNS = {
    "question": "question",
    "answers": "answer",
    "image": "image",
    "question_id": "question_id",
    "question_type": "question_type",
    "answer_type": "answer_type",
    "context": "context",
    "flags": "year",
    "options": "options",
    "precision": "precision",
    "unit": "unit",
    "cluster": "cluster",
}
"""Our field names to the keys of the public annotation files; `columns` in the YAML overrides
it."""

UNREADABLE = "pixtrack_error"
"""In a converted file, the key whose value says why the original row could not be read."""

BATCH_ROWS = 128


@dataclass(frozen=True, slots=True)
class Record:
    """One line of an annotation file, by our field names."""

    index: int
    """Number of the row, from 0; blank lines are not counted."""
    line: int
    """Number of the line, from 1."""
    values: dict[str, Any]
    error: str
    """Why the line cannot be used; "" where it can."""
    end: int
    """Byte offset of the next line."""


class AnnotationSource:
    """Rows of an annotation file, with images of a folder. See `rows.Source`."""

    def __init__(self, config: DatasetConfig, source: AnnotationDataset, pages: Path) -> None:
        """Opens the file and takes its hash.

        Args:
            config: the dataset
            source: its source
            pages: the folder that pages of PDF documents are rendered into

        Raises:
            UserError: the file or the folder is missing, or the file is not the pinned one
        """
        self._documents = PdfPages(pages, source.dpi, source.most_pages)
        self._format = config.row_format
        self._file, self._folder = local(source.qa_file), local(source.img_folder)
        self._columns = columns_of(source.columns, config.name)
        where = f"dataset {config.name}"
        if not self._file.is_file():
            raise UserError(f"{self._file}: no such file: correct source.qa_file of {where}")
        if not self._folder.is_dir():
            raise UserError(f"{self._folder}: no such folder: correct source.img_folder of {where}")
        sha256 = file_sha256(self._file)
        if source.sha256 and sha256 != source.sha256:
            raise UserError(
                f"{self._file}: sha256 is {sha256}, but source.sha256 of {where} pins"
                f" {source.sha256}: get the pinned file, or change the pin"
            )
        self.identity: dict[str, Any] = {
            "kind": "annotations",
            "qa_file": self._file.name,
            "sha256": sha256,
        }
        self.identity["stamp"] = stamp(source, self.identity)
        self.total = sum(1 for _ in read_records(self._file, self._columns))

    def batches(self, cursor: dict[str, Any] | None) -> Iterator[Batch]:
        """All rows in file order, from the cursor on."""
        held: list[RawRow] = []
        for record in read_records(self._file, self._columns, cursor):
            held.append(self._row(record))
            if len(held) == BATCH_ROWS:
                yield Batch(tuple(held), _after(record))
                held = []
        if held:
            yield Batch(tuple(held), _after(record))

    def finish(self, samples: Sequence[Sample]) -> tuple[Sequence[Sample], dict[str, int]]:
        """The samples unchanged, and no counts."""
        return samples, {}

    def close(self) -> None:
        """Ends the processes that render pages."""
        self._documents.close()

    def _row(self, record: Record) -> RawRow:
        value = record.values.get("image")
        names = names_of(value)
        images, error = [], record.error
        if not names and value != []:
            error = error or "image: no file name ([] says that the question is on none)"
        for name in names if not error else ():
            try:
                found = find_image(self._folder, name)
                if found.suffix.lower() == ".pdf":
                    images += self._documents.of(found)
                else:
                    images.append(found)
            except BadImage as problem:
                error = error or f"image {name!r}: {problem}"
        error = f"{self._file.name} line {record.line}: {error}" if error else ""
        shown = [str(name)[:200] for name in names]
        if len(images) != len(shown):  # pages of a document
            shown = [path.name for path in images]
        return to_row(self._format, record.index, record.values, images, shown, error)


def read_records(
    path: Path,
    columns: dict[str, str],
    cursor: dict[str, Any] | None = None,
    required: Sequence[str] = REQUIRED,
) -> Iterator[Record]:
    """Reads an annotation file line by line.

    Args:
        path: the file
        columns: our field names to the file's keys
        cursor: where to start (`offset`, `index` and `line` of the next row); None: at the
            beginning
        required: fields that a line must have; a line without one of them has an error
    """
    at = cursor or {"offset": 0, "index": 0, "line": 0}
    offset, index, line = at["offset"], at["index"], at["line"]
    with path.open("rb") as file:
        file.seek(offset)
        for raw in file:
            offset += len(raw)
            line += 1
            if not raw.strip():
                continue
            values, error = _parse(raw.removeprefix(b"\xef\xbb\xbf"), columns, required)
            yield Record(index, line, values, error, offset)
            index += 1


def _parse(
    raw: bytes, columns: dict[str, str], required: Sequence[str]
) -> tuple[dict[str, Any], str]:
    error = ""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        text = raw.decode("utf-8", "replace")
        error = f"not valid UTF-8 at byte {problem.start}"
    try:
        data = parse_json(text)
    except ValueError as problem:
        return {}, error or str(problem)
    values, unusable = record_values(data, columns, required)
    return values, error or unusable


def record_values(
    data: Any, columns: dict[str, str], required: Sequence[str]
) -> tuple[dict[str, Any], str]:
    """Takes the values out of one JSON object.

    Args:
        data: the parsed line
        columns: our field names to the file's keys
        required: fields that must be there

    Returns:
        the values by our field names, and why the object cannot be used ("" where it can)
    """
    if not isinstance(data, dict):
        return {}, f"expected a JSON object, found {type(data).__name__}"
    values = {field: data[key] for field, key in columns.items() if key in data}
    if UNREADABLE in data:
        return values, str(data[UNREADABLE])
    for field in required:
        if field not in values:
            return values, f"no key {columns[field]!r}; it has {', '.join(sorted(data))}"
    return values, ""


def _after(record: Record) -> dict[str, Any]:
    return {"offset": record.end, "index": record.index + 1, "line": record.line}


def columns_of(chosen: dict[str, str], dataset: str) -> dict[str, str]:
    """The default columns, overridden by the chosen ones. Raises UserError for an unknown field."""
    for field in chosen:
        if field not in FIELDS:
            raise UserError(
                f"dataset {dataset}: source.columns.{field}: no such field; known:"
                f" {', '.join(FIELDS)}"
            )
    return {**COLUMNS, **chosen}


def names_of(value: Any) -> tuple[Any, ...]:
    """The image names of a record's image field: none, one, or a list of them, in order.

    A value that is no name (a number, say) is kept: `find_image` refuses it.
    """
    if value is None or value == "":
        return ()
    values = value if isinstance(value, list | tuple) else (value,)
    # The datasets library's Image feature names its file as {"path": …}.
    return tuple(one.get("path", one) if isinstance(one, dict) else one for one in values)


def find_image(folder: Path, name: Any) -> Path:
    """The image file of that name in the folder.

    Symbolic links are followed as long as they stay inside the folder. Raises BadImage for a file
    that is missing or cannot be read, and for a name that leads out of the folder.
    """
    if not isinstance(name, str) or not name.strip():
        raise BadImage("no file name")
    if "\0" in name or Path(name).is_absolute() or "\\" in name:
        raise BadImage("not a path inside the image folder")
    try:
        real = _existing(folder, name).resolve(strict=True)
        mode = real.stat().st_mode
    except FileNotFoundError:
        if ".." in Path(name).parts:
            raise BadImage("leaves the image folder") from None
        raise BadImage("no such file in the image folder") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise BadImage(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not real.is_relative_to(folder.resolve()):
        raise BadImage("leaves the image folder")
    if not stat.S_ISREG(mode):
        raise BadImage("not a regular file")
    return real


def _existing(folder: Path, name: str) -> Path:
    """The path of that name, or the existing file whose name differs in Unicode composition only.

    macOS stores é in file names as e and a combining accent; files of questions mostly do not.
    """
    for form in ("NFC", "NFD"):
        other = folder / unicodedata.normalize(form, name)
        if not (folder / name).exists() and other.exists():
            return other
    return folder / name


def stamp(source: AnnotationDataset, described: dict[str, Any]) -> str | None:
    """A value that changes when the annotation file or an image gets another size or time.

    Where the file or the folder no longer exists, the stamp recorded in `described` is returned:
    the prepared dataset stays usable.
    """
    path, folder = local(source.qa_file), local(source.img_folder)
    recorded: str | None = described.get("stamp")
    if not path.is_file() or not folder.is_dir():
        return recorded
    total = hashlib.sha256(_stat(path))
    records = read_records(path, COLUMNS | source.columns)
    names = {str(name) for record in records for name in names_of(record.values.get("image"))}
    for name in sorted(names):
        total.update(_stat(folder / name.replace("\0", "")))
    return total.hexdigest()


def _stat(path: Path) -> bytes:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return b"-"
    return f"{status.st_size} {status.st_mtime_ns}\n".encode()


def local(path: str) -> Path:
    """A path from a dataset's YAML, made absolute: a relative one starts at the YAML's folder."""
    return config_file(Path("datasets") / Path(path).expanduser()).absolute()


def file_sha256(path: Path) -> str:
    """The file's sha256, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
