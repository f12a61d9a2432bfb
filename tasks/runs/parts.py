"""The journals of a run whose questions are divided among several engines, and how they are merged.

Each replica of the model gets a part of the requests and a journal of its own beside the run's:
answers.part0.jsonl, answers.part1.jsonl, … Their lines are moved into answers.jsonl when the part
has been answered; if the command is killed before, the next one that opens the run moves them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from pixtrack.tasks.records import Answer, answer_from_json
from pixtrack.tasks.runs.journal import Journal, read_answers, read_fingerprint, whole_lines


def merge_parts(journal: Path, fingerprint: str) -> int:
    """Moves the answers of all part journals into the run's journal; returns how many it moved.

    It may be killed at any point and called again: an answer that is there already is not moved
    twice. A part with another fingerprint belongs to no run and is removed. Raises UserError, and
    removes nothing, while another process writes a part: the children of a killed command end a
    moment after it.
    """
    parts = _parts_of(journal)
    moved = 0
    if parts:
        with contextlib.ExitStack() as ours:
            whole = ours.enter_context(Journal(journal, fingerprint))
            for part in parts:
                if read_fingerprint(part) == fingerprint:
                    ours.enter_context(Journal(part, fingerprint))
                    moved += _move(part, whole)
            whole.sync()
            for part in parts:
                part.unlink(missing_ok=True)
    for requests in journal.parent.glob("requests.part*.jsonl"):
        requests.unlink(missing_ok=True)
    return moved


def read_with_parts(journal: Path, fingerprint: str) -> dict[int, Answer]:
    """The answers of a run's journal and of parts that are not merged yet; changes nothing."""
    parts = [p for p in _parts_of(journal) if read_fingerprint(p) == fingerprint]
    of_parts = [read_answers(part) for part in parts]
    answers = read_answers(journal)  # last: another process may be merging them
    for found in of_parts:
        answers |= {i: answer for i, answer in found.items() if _is_new(answer, answers)}
    return answers


def _parts_of(journal: Path) -> list[Path]:
    return sorted(journal.parent.glob(f"{journal.stem}.part*{journal.suffix}"))


def _move(part: Path, whole: Journal) -> int:
    answers = whole.answers()
    moved = 0
    for line in whole_lines(part)[1:]:
        data = json.loads(line)
        stamp = {key: data[key] for key in ("started", "elapsed") if key in data}
        answer = answer_from_json(data)
        if _is_new(answer, answers):
            whole.append(answer, stamp)
            moved += 1
    return moved


def _is_new(answer: Answer, answers: Mapping[int, Answer]) -> bool:
    known = answers.get(answer.index)
    return known is None or (answer.final and not known.final)


def part_path(path: Path, part: int) -> Path:
    """The file of one replica's part beside the run's: answers.jsonl -> answers.part0.jsonl."""
    return path.with_name(f"{path.stem}.part{part}{path.suffix}")
