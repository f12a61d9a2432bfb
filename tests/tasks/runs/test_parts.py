"""Questions dealt out to replicas, and their journals put together, however often a kill comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.records import Answer, Request
from pixtrack.tasks.runs.invocations import read_invocations
from pixtrack.tasks.runs.journal import Journal, read_answers
from pixtrack.tasks.runs.parts import merge_parts, read_with_parts
from tests.doubles.asking import FINGERPRINT

Ask = Callable[[int, int], list[Request]]
STARTED = "2026-01-01T00:00:00.000+00:00"


def answer(index: int, text: str = "42", reason: str = "stop") -> Answer:
    return Answer(index=index, text=text, finish_reason=reason)  # type: ignore[arg-type]


def write_part(path: Path, *answers: Answer, fingerprint: str = FINGERPRINT) -> None:
    with Journal(path, fingerprint) as journal:
        for n, one in enumerate(answers, start=1):
            journal.append(one, {"started": STARTED, "elapsed": float(n)})


def test_part_journals_are_folded_into_the_runs_with_their_times(tmp_path: Path) -> None:
    whole = tmp_path / "answers.jsonl"
    write_part(whole, answer(0))
    write_part(tmp_path / "answers.part0.jsonl", answer(1), answer(3, reason="error"))
    write_part(tmp_path / "answers.part1.jsonl", answer(2, "43"))
    (tmp_path / "requests.part0.jsonl").write_text("")
    assert merge_parts(whole, FINGERPRINT) == 3
    assert {i: a.text for i, a in read_answers(whole).items()} == {
        0: "42",
        1: "42",
        2: "43",
        3: "42",
    }
    (invocation,) = read_invocations(whole)
    assert (invocation.asked, invocation.seconds) == (4, 2.0)
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]
    assert merge_parts(whole, FINGERPRINT) == 0


def test_a_kill_between_the_copy_and_the_removal_costs_nothing_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    whole, part = tmp_path / "answers.jsonl", tmp_path / "answers.part0.jsonl"
    write_part(part, answer(0), answer(1))
    with part.open("ab") as file:
        file.write(b'{"index": 2, "te')  # torn off by a kill
    write_part(whole, answer(0))
    assert merge_parts(whole, FINGERPRINT) == 1
    lines = whole.read_text().splitlines()[1:]
    assert [json.loads(line)["index"] for line in lines] == [0, 1]


def test_an_empty_part_and_one_of_another_run_are_removed(tmp_path: Path) -> None:
    whole = tmp_path / "answers.jsonl"
    (tmp_path / "answers.part0.jsonl").write_bytes(b"")
    write_part(tmp_path / "answers.part1.jsonl", answer(5), fingerprint="other")
    assert merge_parts(whole, FINGERPRINT) == 0
    assert read_answers(whole) == {}
    assert not list(tmp_path.glob("*.part*"))


def test_a_part_that_somebody_still_writes_is_left_whole(tmp_path: Path) -> None:
    whole, part = tmp_path / "answers.jsonl", tmp_path / "answers.part1.jsonl"
    write_part(tmp_path / "answers.part0.jsonl", answer(0))
    with Journal(part, FINGERPRINT) as writer:
        writer.append(answer(1))
        with pytest.raises(UserError, match="another process is answering"):
            merge_parts(whole, FINGERPRINT)
        writer.append(answer(2))
    merge_parts(whole, FINGERPRINT)
    assert sorted(read_answers(whole)) == [0, 1, 2] and not list(tmp_path.glob("*.part*"))


def test_a_damaged_line_of_a_part_is_named(tmp_path: Path) -> None:
    part = tmp_path / "answers.part0.jsonl"
    write_part(part, answer(0))
    with part.open("ab") as file:
        file.write(b'{"index": 1, "te\n{"index":2,"text":"a","finish_reason":"stop"}\n')
    with pytest.raises(UserError, match=r"part0\.jsonl:3: damaged line"):
        merge_parts(tmp_path / "answers.jsonl", FINGERPRINT)


def test_answers_of_parts_are_read_where_they_lie(tmp_path: Path) -> None:
    whole = tmp_path / "answers.jsonl"
    write_part(whole, answer(0), answer(1, reason="error"))
    write_part(tmp_path / "answers.part0.jsonl", answer(0, "late"), answer(1, "43"))
    write_part(tmp_path / "answers.part1.jsonl", answer(5), fingerprint="other")
    found = {i: a.text for i, a in read_with_parts(whole, FINGERPRINT).items()}
    assert found == {0: "42", 1: "43"}
    assert len(list(tmp_path.iterdir())) == 3


def test_without_parts_no_journal_is_made(tmp_path: Path) -> None:
    assert merge_parts(tmp_path / "answers.jsonl", FINGERPRINT) == 0
    assert not list(tmp_path.iterdir())
