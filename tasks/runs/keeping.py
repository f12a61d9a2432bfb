"""What people do with runs that are made: a note, tags, out of sight, away for good."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid4

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord
from pixtrack.tasks.runs.journal import read_answers
from pixtrack.tasks.runs.lock import RunLock
from pixtrack.tasks.transfer import human

_TAG = re.compile(r"[\w.:+-]{1,40}")


def set_note(run: RunDirectory, note: str) -> RunRecord:
    """Writes the note into the run's record, in place of the former one; "" removes it.

    Raises UserError where another command is at work on the run.
    """
    with RunLock(run):
        record = _record(run)
        record.note = note.strip()
        run.write_record(record)
    return record


def set_tags(run: RunDirectory, add: Iterable[str], remove: Iterable[str] = ()) -> RunRecord:
    """Adds tags to the run and takes others away; returns the record.

    Raises UserError for what is no tag, and where another command is at work on the run.
    """
    added, removed = list(add), set(remove)
    for tag in added:
        if not _TAG.fullmatch(tag):
            raise UserError(
                f"tag {tag!r}: use letters, digits, '_', '-', '.', ':' and '+', at most 40"
            )
    with RunLock(run):
        record = _record(run)
        kept = (tag for tag in (*record.tags, *added) if tag not in removed)
        record.tags = tuple(dict.fromkeys(kept))
        run.write_record(record)
    return record


def set_archived(run: RunDirectory, archived: bool) -> RunRecord:
    """Puts the run out of sight, or back: an archived one is found by its name or path alone.

    Raises UserError where another command is at work on the run.
    """
    with RunLock(run):
        record = _record(run)
        record.archived = archived
        run.write_record(record)
    return record


@dataclass(frozen=True)
class Loss:
    """What deleting a run would lose."""

    answers: int | None
    """None: the journal cannot be read."""
    bytes: int

    @property
    def in_words(self) -> str:
        """As the question before a deletion says it."""
        known = f"{self.answers:,} answers" if self.answers is not None else "a damaged journal"
        return f"{known}, {human(self.bytes)}"


def loss_of(run: RunDirectory) -> Loss:
    """What deleting the run would lose."""
    size = sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())
    try:
        answers = len(read_answers(run.journal_file))
    except UserError:
        return Loss(None, size)
    return Loss(answers, size)


def delete(run: RunDirectory, home: Home) -> None:
    """Removes the run with its answers; nothing brings them back.

    Its folder is moved away first, so that a deletion that is cut off leaves no half of a run.
    Raises UserError where another command is at work on the run.
    """
    with RunLock(run):
        away = home.root / ".deleted" / f"{run.path.name}-{uuid4().hex[:8]}"
        away.parent.mkdir(exist_ok=True)
        run.path.rename(away)
    shutil.rmtree(away)


def _record(run: RunDirectory) -> RunRecord:
    record = run.read_record()
    if record is None:
        raise UserError(f"{run.path}: no run directory (it holds no run.json): name a run")
    return record
