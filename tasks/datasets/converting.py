"""A user's file of questions, understood, and where need be converted to our own layout."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import home
from pixtrack.tasks.datasets.annotations import COLUMNS
from pixtrack.tasks.datasets.fields import FIELDS
from pixtrack.tasks.datasets.new_dataset import NewDataset
from pixtrack.tasks.datasets.readers import FileRow, kind_of, read_rows
from pixtrack.tasks.datasets.understanding import (
    Understood,
    as_our_row,
    fields_found,
    joined_with_answers,
)

ROWS_FOR_THE_KEYS = 2_000
"""Rows that are looked at to find out what a file calls things."""


@dataclass
class InPlace:
    """The files that a dataset's YAML will name."""

    qa_file: Path
    folder: Path
    columns: dict[str, str]
    moves: list[tuple[Path, Path]] = field(default_factory=list)

    def keep(self) -> None:
        """Puts converted files where they stay, once everything is known to be right."""
        for made, place in self.moves:
            place.parent.mkdir(parents=True, exist_ok=True)
            if made.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            shutil.move(str(made), str(place))
            self.qa_file = place if self.qa_file == made else self.qa_file
            self.folder = place if self.folder == made else self.folder
        self.moves = []


@dataclass
class Questions:
    """A user's questions: understood, and either in our layout already or to be converted."""

    new: NewDataset
    folder: Path
    understood: Understood
    rows: list[dict[str, Any]]
    problems: list[str]
    direct: bool
    """Whether the file itself can be the source."""
    row_format: str
    has_options: bool

    @contextmanager
    def in_place(self, path: Path, *, keep: bool) -> Iterator[InPlace]:
        """The files; converted ones in a temporary folder until `keep` is called."""
        if self.direct:
            columns = {o: k for o, k in self.understood.fields.items() if COLUMNS.get(o) != k}
            yield InPlace(self.new.qa_file.expanduser().absolute(), self.folder, columns)
            return
        with tempfile.TemporaryDirectory(prefix="pixtrack-add-") as scratch:
            made = self._converted(Path(scratch), path)
            if keep:
                made.keep()
            yield made

    def _converted(self, scratch: Path, path: Path) -> InPlace:
        pictures = scratch / "images"
        lines = []
        for row in self.rows:
            shown = [_stored(image, pictures) for image in row.pop("image", [])]
            lines.append({**{COLUMNS[ours]: value for ours, value in row.items()}, "image": shown})
        text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
        qa_file = scratch / path.with_suffix(".jsonl").name
        qa_file.write_text(text, encoding="utf-8")
        made = InPlace(qa_file, self.folder, {}, [(qa_file, path.with_suffix(".jsonl"))])
        if pictures.exists():
            made.folder = pictures
            made.moves.append((pictures, home().root / "added" / self.new.name))
        return made


def read_questions(new: NewDataset) -> Questions:
    """The file's rows by our own keys. Raises UserError where no key can be a question's or image's."""
    qa_file = new.qa_file.expanduser().absolute()
    kind = kind_of(qa_file)
    folder = (new.img_folder or qa_file.parent).expanduser().absolute()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder (--img-folder)")
    for name in new.columns or {}:
        if name not in FIELDS:
            raise UserError(
                f"dataset {new.name}: --column {name}: no such field; known: {', '.join(FIELDS)}"
            )
    fields, rows = _rows_of(new, qa_file)
    understood = Understood(kind, fields=fields)
    direct = kind == "JSON Lines" and new.answers_file is None and not new.text_only
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    formats: set[str] = set()
    for row in rows:
        ours, error = as_our_row(row, fields, understood)
        if not error and not new.text_only and _images(ours) is None:
            error = "no image ([] says that the question is on none)"
        if error:
            problems.append(f"{qa_file.name} {row.place}: {error}")
            ours = {"question": None, "answers": []}
        elif direct:
            direct = _unchanged(row, ours, fields)
        formats.add(_format_of(ours))
        found.append({**ours, "image": [] if new.text_only else _images(ours) or []})
    if not found:
        raise UserError(f"{qa_file}: no rows (--qa-file)")
    has_options = any("options" in ours for ours in found)
    row_format = next(
        (name for name in ("conversation", "chartqapro", "vqa") if name in formats), "plain"
    )
    return Questions(new, folder, understood, found, problems, direct, row_format, has_options)


def _rows_of(new: NewDataset, qa_file: Path) -> tuple[dict[str, str], Iterator[FileRow]]:
    """(our field to the file's key, all rows). Raises UserError for keys that nobody can guess."""
    rows = read_rows(qa_file)
    first = list(islice(rows, ROWS_FOR_THE_KEYS))
    if new.answers_file is not None:
        first += list(rows)
        answers = list(read_rows(new.answers_file.expanduser().absolute()))
        key = fields_found(first, new.columns or {}).get("question_id", "question_id")
        first, alone = joined_with_answers(first, answers, key)
        if alone == len(first):
            raise UserError(
                f"{new.answers_file}: none of its rows has a {key!r} of {qa_file.name} "
                "(--answers-file)"
            )
    if not first:
        raise UserError(f"{qa_file}: no rows (--qa-file)")
    readable = [row for row in first if not row.error]
    if not readable:
        raise UserError(f"{qa_file} {first[0].place}: {first[0].error}")
    fields = fields_found(readable, new.columns or {})
    if new.text_only:
        fields.pop("image", None)
    has = sorted({key for row in readable for key in row.values})
    for field_name in ("question", *(() if new.text_only else ("image",))):
        if field_name not in fields or fields[field_name] not in has:
            wanted = fields.get(field_name, field_name)
            none = "" if field_name == "question" else ", or --text-only"
            raise UserError(
                f"{qa_file}: no key {wanted!r}; it has {', '.join(has) or 'none'}: say which with "
                f"--column {field_name}=KEY{none}"
            )

    def every() -> Iterator[FileRow]:
        yield from first
        yield from rows

    return {o: k for o, k in fields.items() if k in has or o in (new.columns or {})}, every()


def _images(ours: Mapping[str, Any]) -> list[Any] | None:
    """The images of a row: names or bytes; None where there is no word of any."""
    value = ours.get("image")
    if value is None or value == "":
        return None
    listed = value if isinstance(value, list) else [value]
    return [_image(one) for one in listed]


def _image(value: Any) -> Any:
    """A name or bytes, also of the datasets library's `{bytes, path}`."""
    if isinstance(value, Mapping):
        return value.get("bytes") or value.get("path") or json.dumps(value, default=str)[:200]
    return value


def _stored(image: Any, folder: Path) -> Any:
    """A name as it is; bytes as a file in the folder, by their digest."""
    if not isinstance(image, bytes):
        return image
    folder.mkdir(exist_ok=True)
    name = hashlib.sha256(image).hexdigest()
    (folder / name).write_bytes(image)
    return name


def _unchanged(row: FileRow, ours: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Whether the row means the same to the reader of our own layout."""
    same = all(ours[name] == row.values.get(key) for name, key in fields.items() if name in ours
               and name != "answers")  # fmt: skip
    golds = row.values.get(fields.get("answers", ""))
    kept = ours["answers"] == golds or (ours["answers"] == [] and golds is None)
    return same and kept and "options" not in ours.keys() - fields.keys()


def _format_of(ours: Mapping[str, Any]) -> str:
    golds = ours["answers"]
    if isinstance(ours["question"], list):
        several = isinstance(golds, list) and len(golds) == len(ours["question"])
        return "chartqapro" if several and "flags" in ours else "conversation"
    many = isinstance(golds, list) and golds and isinstance(golds[0], Mapping)
    return "vqa" if many else "plain"
