"""Answers that another run of the same fingerprint has are copied, not asked for again."""

from __future__ import annotations

from pathlib import Path

from pixtrack.tasks.records import Answer
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.runs.journal import Journal, read_answers
from pixtrack.tasks.runs.opening import _copy_answers

PRINT = "0123456789abcdef"


def test_final_answers_are_taken_over_in_place_of_errors(tmp_path: Path) -> None:
    first = RunDirectory(tmp_path / f"m--plain--first3--{PRINT[:12]}")
    whole = RunDirectory(tmp_path / f"m--plain--{PRINT[:12]}")
    with Journal(first.journal_file, PRINT) as journal:
        for answer in (Answer(0, "a", "stop"), Answer(1, "b", "stop"), Answer(2, "", "error")):
            journal.append(answer)
    with Journal(whole.journal_file, PRINT) as journal:
        journal.append(Answer(0, "", "error", error="for the moment"))
        journal.append(Answer(7, "h", "stop"))
    (told,) = _copy_answers(whole, PRINT, {0, 2, 7})
    assert (told["status"], told["from"], told["answers"]) == ("taken over", first.path.name, 1)
    assert told["asked"] == 0  # nor does it count for the speed
    assert _copy_answers(whole, PRINT, {0, 2, 7}) == []
    found = read_answers(whole.journal_file)
    assert {index: answer.text for index, answer in found.items()} == {0: "a", 7: "h"}
