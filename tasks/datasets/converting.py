"""Reads a user's file of questions and, where it has another layout, converts it to our own."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import home
from pixtrack.tasks.datasets.annotations import COLUMNS, UNREADABLE
from pixtrack.tasks.datasets.answer_files import Answers
from pixtrack.tasks.datasets.fields import FIELDS
from pixtrack.tasks.datasets.formats.base import letter
from pixtrack.tasks.datasets.new_dataset import NewDataset
from pixtrack.tasks.datasets.readers import READERS, FileRow, kind_of, question_file
from pixtrack.tasks.datasets.row_images import KEPT, RowImages
from pixtrack.tasks.datasets.row_values import OurRow, as_our_row, position_of
from pixtrack.tasks.datasets.understanding import (
    TURNS,
    Understood,
    fields_found,
    option_keys_found,
)
from pixtrack.tasks.images import BadImage


@dataclass
class Questions:
    """A user's questions: the file itself, or a converted copy that `put` moves to its place."""

    qa_file: Path
    """The user's file, or the copy in a temporary folder."""
    folder: Path
    """The folder that image names are relative to."""
    understood: Understood
    columns: dict[str, str] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    """For each row, where it stands in the user's file (`line 3`, `row 7`)."""
    errors: dict[int, str] = field(default_factory=dict)
    """Why a row cannot be asked, by its index; rows that can are not in it."""
    row_format: str = "plain"
    has_options: bool = False
    converted: bool = False
    kept: Path | None = None
    """The temporary folder of images that the rows contained; the user's own folder is never
    moved."""

    def put(self, qa_file: Path, images: Path) -> None:
        """Moves a converted copy and its images from the temporary folder to these places."""
        if not self.converted:
            return
        if self.kept is not None:
            shutil.rmtree(images, ignore_errors=True)
            self.kept.rename(images)
            self.folder, self.kept = images, None
        qa_file.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(str(self.qa_file), str(qa_file))
        self.qa_file = qa_file


@contextmanager
def read_questions(new: NewDataset) -> Iterator[Questions]:
    """Reads the file once, a row at a time, into a temporary folder of the data home.

    The temporary folder is removed at the end of the block, with everything that `Questions.put`
    has not moved. Raises UserError where the file cannot be read, and where none of its keys can be
    recognised as the question or the image.
    """
    qa_file = question_file(new.qa_file.expanduser().absolute(), "--qa-file")
    inside = qa_file if qa_file.is_dir() else qa_file.parent
    folder = (new.img_folder or inside).expanduser().absolute()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: correct --img-folder")
    answers = Answers.of(new)
    understood = _understood(new, qa_file, answers)
    at = home().root / "added"
    at.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=at) as scratch:
        yield _Conversion(new, qa_file, folder, understood, answers, Path(scratch)).run()


def _understood(new: NewDataset, qa_file: Path, answers: Answers | None) -> Understood:
    """Which key of the file holds which field. Raises UserError where a required one is not
    found.
    """
    chosen = new.columns or {}
    for name in chosen:
        if name not in FIELDS:
            raise UserError(
                f"dataset {new.name}: --column {name}: no such field; known: {', '.join(FIELDS)}"
            )
    kind = kind_of(qa_file)
    reader = READERS[kind]
    keys = reader.keys(qa_file)
    has = sorted({*keys, *(answers.keys if answers is not None else ())})
    if not keys:
        first = next(reader.rows(qa_file), None)
        if first is None:
            raise UserError(f"{qa_file}: no rows: name another --qa-file")
        raise UserError(f"{qa_file} {first.place}: {first.error or 'an empty object'}")
    fields = fields_found([*keys, *(k for k in has if k not in keys)], chosen)
    if new.text_only:
        fields.pop("image", None)
    in_messages = fields.get("question") in TURNS
    needed = ["question", *([] if new.text_only or in_messages else ["image"]), *chosen]
    for name in needed:
        if fields.get(name) not in has:
            wanted = fields.get(name, name)
            none = ", or --text-only" if name == "image" and name not in chosen else ""
            raise UserError(
                f"{qa_file}: no key {wanted!r}; it has {', '.join(has) or 'none'}: say which with "
                f"--column {name}=KEY{none}"
            )
    return Understood(kind, fields=fields, option_keys=option_keys_found(keys))


class _Conversion:
    """One pass over a user's file that converts each row."""

    def __init__(
        self,
        new: NewDataset,
        qa_file: Path,
        folder: Path,
        understood: Understood,
        answers: Answers | None,
        scratch: Path,
    ) -> None:
        self._new, self._file, self._understood, self._answers = new, qa_file, understood, answers
        self._copy = scratch / "questions.jsonl"
        self._images = RowImages(folder, scratch / "images")
        self._found = Questions(qa_file, folder, understood)
        self._direct = (
            understood.kind == "JSON Lines" and answers is None and not new.text_only
            and not understood.option_keys
        )  # fmt: skip
        self._positions: dict[int, tuple[int, int]] = {}
        self._named, self._kept = False, False
        self._ids: Counter[str] = Counter()
        self._formats: set[str] = set()

    def run(self) -> Questions:
        """Converts the whole file and returns the questions."""
        found = self._found
        with self._copy.open("w", encoding="utf-8") as copy:
            for index, row in enumerate(READERS[self._understood.kind].rows(self._file)):
                ours = as_our_row(self._joined(row), self._understood)
                line = self._line(index, ours)
                copy.write(json.dumps(line) + "\n")
                found.places.append(ours.place)
                if ours.error:
                    found.errors[index] = ours.error
                self._direct = self._direct and ours.unchanged and not ours.error
        notes = self._understood.notes
        repeated = sum(self._ids.values()) - len(self._ids)
        notes.update({"with an id that an earlier row has": repeated} if repeated else {})
        if self._answers is not None:
            notes.update(self._answers.notes())
            if self._answers.matched == 0:
                raise UserError(
                    f"{self._answers.path}: none of its rows has a {self._answers.key!r} of "
                    f"{self._file.name} (--answers-file)"
                )
        self._finish()
        return found

    def _joined(self, row: FileRow) -> FileRow:
        return row if self._answers is None else self._answers.joined(row)

    def _line(self, index: int, ours: OurRow) -> dict[str, Any]:
        """The row in our layout; for a row that cannot be asked, the reason under UNREADABLE."""
        question_id = ours.values.get("question_id")
        names: list[str] = []
        try:
            if not ours.error:
                names = self._names(ours, question_id)
        except BadImage as problem:
            ours.error = str(problem)
        if ours.error:
            return {UNREADABLE: ours.error, "question_id": _text(question_id)}
        if question_id is not None:
            self._ids[str(question_id)] += 1
        self._formats.add(_format_of(ours))
        self._found.has_options = self._found.has_options or "options" in ours.values
        position = position_of(ours)
        if position is not None and self._new.row_format != "choice_index":
            self._positions[index] = (position, len(ours.values["options"]))
        values = {COLUMNS[name]: value for name, value in ours.values.items() if value is not None}
        return {**values, "image": names}

    def _names(self, ours: OurRow, question_id: Any) -> list[str]:
        if self._new.text_only:
            return []
        if ours.images is None:
            raise BadImage("no image ([] says that the question is on none)")
        names = self._images.of(ours.images, question_id)
        for note in self._images.notes:
            self._understood.notes[note] += 1
        as_they_stand = [one.get("path") if isinstance(one, dict) else one for one in ours.images]
        ours.unchanged = ours.unchanged and names == as_they_stand
        self._kept = self._kept or any(map(self._images.is_kept, names))
        self._named = self._named or not all(map(self._images.is_kept, names))
        return names

    def _finish(self) -> None:
        found = self._found
        found.row_format = next(
            (name for name in ("conversation", "chartqapro", "vqa") if name in self._formats),
            "plain",
        )
        if self._positions:
            self._direct = False
        if self._direct:
            found.columns = {
                ours: theirs
                for ours, theirs in self._understood.fields.items()
                if COLUMNS.get(ours) != theirs
            }
            return
        found.converted = True
        found.qa_file = self._copy
        if self._kept:
            found.folder = found.kept = self._images.kept
        if self._positions or self._kept:
            self._rewrite()

    def _rewrite(self) -> None:
        """Rewrites what only the whole file decides: option positions as letters, image folders."""
        first = self._first_position()
        done = self._copy.with_suffix(".done")
        with self._copy.open(encoding="utf-8") as copy, done.open("w", encoding="utf-8") as out:
            for index, text in enumerate(copy):
                line = json.loads(text)
                if index in self._positions:
                    self._answer_by_letter(index, line, first)
                if self._kept and "image" in line:
                    line["image"] = [
                        name.removeprefix(KEPT)
                        if self._images.is_kept(name)
                        else self._images.keep_file(name)
                        for name in line["image"]
                    ]
                out.write(json.dumps(line) + "\n")
        done.replace(self._copy)

    def _first_position(self) -> int:
        """The number of the first option (0 or 1): 1 only where counting from 0 is impossible."""
        positions = self._positions.values()
        first = int(
            all(place > 0 for place, _ in positions)
            and any(place == count for place, count in positions)
        )
        if positions:
            note = f"golds that are an option's position, counted from {first}"
            self._understood.notes[note] = len(positions)
        return first

    def _answer_by_letter(self, index: int, line: dict[str, Any], first: int) -> None:
        position, count = self._positions[index]
        if 0 <= position - first < count:
            line[COLUMNS["answers"]] = letter(position - first)
            return
        error = f"the gold is {position}: neither an option nor the position of one of {count}"
        self._found.errors[index] = error
        line.clear()
        line[UNREADABLE] = error


def _format_of(ours: OurRow) -> str:
    golds = ours.values["answers"]
    if isinstance(ours.values["question"], list):
        several = isinstance(golds, list) and len(golds) == len(ours.values["question"])
        return "chartqapro" if several and "flags" in ours.values else "conversation"
    many = isinstance(golds, list) and golds and isinstance(golds[0], dict)
    return "vqa" if many else "plain"


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:200]
