"""Joins golds from a file of their own to the questions by question id, as VQA publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.tasks.datasets.new_dataset import NewDataset
from pixtrack.tasks.datasets.readers import READERS, FileRow, kind_of, question_file
from pixtrack.tasks.datasets.understanding import fields_found


class Answers:
    """The rows of a file of answers, by question id."""

    def __init__(self, path: Path, chosen: Mapping[str, str]) -> None:
        """Reads the file.

        Args:
            path: the file of answers
            chosen: our field names to the file's keys, where the user names them

        Raises:
            UserError: a row cannot be read, or two rows have the same id
        """
        self.path = path
        reader = READERS[kind_of(path)]
        self.keys = reader.keys(path)
        self.key = fields_found(self.keys, chosen).get("question_id", "question_id")
        self._rows: dict[str, dict[str, Any]] = {}
        self._used: set[str] = set()
        self._alone = 0
        for row in reader.rows(path):
            if row.error:
                raise UserError(f"{path} {row.place}: {row.error} (--answers-file)")
            if self.key not in self.keys:
                raise UserError(
                    f"{path}: no key {self.key!r} to join it by; it has {', '.join(self.keys)}"
                    " (--answers-file)"
                )
            found = row.values.get(self.key)
            if found is None:
                raise UserError(f"{path} {row.place}: no {self.key!r} (--answers-file)")
            if str(found) in self._rows:
                raise UserError(
                    f"{path} {row.place}: answers the question {str(found)!r} once more "
                    "(--answers-file)"
                )
            self._rows[str(found)] = row.values

    @classmethod
    def of(cls, new: NewDataset) -> Answers | None:
        """The answers of a dataset with such a file; None without one. Raises UserError."""
        if new.answers_file is None:
            return None
        path = question_file(new.answers_file.expanduser().absolute(), "--answers-file")
        return cls(path, new.columns or {})

    @property
    def matched(self) -> int:
        """How many rows of answers belong to a question."""
        return len(self._used)

    def joined(self, row: FileRow) -> FileRow:
        """The question's row with the answer row's keys added; the question's own keys win."""
        ids = fields_found(list(row.values), {}).get("question_id", self.key)
        own = row.values.get(self.key, row.values.get(ids))
        more = self._rows.get(str(own)) if own is not None else None
        if more is None:
            self._alone += not row.error
            return row
        self._used.add(str(own))
        return FileRow(row.place, {**more, **row.values}, row.error)

    def notes(self) -> dict[str, int]:
        """Remarks on the join for the user, each with its number of rows."""
        found = {
            f"of which {self.path.name} has no answer": self._alone,
            f"of {self.path.name} that answer no question here": len(self._rows) - len(self._used),
        }
        return {text: count for text, count in found.items() if count}
