"""Part journals of an earlier pixtrack, which divided a run among engines: their answers count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixtrack.tasks.records import Answer, FinishReason
from pixtrack.tasks.runs.journal import Journal, read_answers
from pixtrack.tasks.runs.left_parts import take_over_parts

FINGERPRINT = "test"
STAMP = {"started": "2026-01-02T03:04:05.678+00:00", "elapsed": 1.5}


def answer(index: int, reason: FinishReason = "stop", text: str = "a") -> Answer:
    return Answer(index, text, reason, error="away" if reason == "error" else "")


def write(path: Path, *answers: Answer, fingerprint: str = FINGERPRINT) -> None:
    with Journal(path, fingerprint) as journal:
        for one in answers:
            journal.append(one, STAMP)


def test_their_answers_are_moved_once_with_their_times(tmp_path: Path) -> None:
    whole = tmp_path / "answers.jsonl"
    write(whole, answer(0, text="first"), answer(3, "error"))
    write(tmp_path / "answers.part0.jsonl", answer(0, text="again"), answer(1))
    write(tmp_path / "answers.part1.jsonl", answer(3), answer(4, "error"))
    write(tmp_path / "answers.part2.jsonl", answer(9), fingerprint="another run's")
    (tmp_path / "requests.part0.jsonl").touch()
    assert take_over_parts(whole, FINGERPRINT) == 3
    found = read_answers(whole)
    assert {i: a.finish_reason for i, a in found.items()} == {
        0: "stop",
        1: "stop",
        3: "stop",
        4: "error",
    }
    assert found[0].text == "first"
    lines = [json.loads(line) for line in whole.read_text().splitlines()]
    assert all(line["started"] == STAMP["started"] for line in lines[1:])
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]
    assert take_over_parts(whole, FINGERPRINT) == 0


def test_a_kill_while_they_are_moved_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "answers.jsonl"
    write(tmp_path / "answers.part0.jsonl", answer(0), answer(1))
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "sync", lambda _self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take_over_parts(whole, FINGERPRINT)
    assert take_over_parts(whole, FINGERPRINT) == 0
    assert sorted(read_answers(whole)) == [0, 1] and not list(tmp_path.glob("*.part*"))
    assert len(whole.read_bytes().splitlines()) == 3


def test_no_parts_no_journal(tmp_path: Path) -> None:
    assert take_over_parts(tmp_path / "answers.jsonl", FINGERPRINT) == 0
    assert not (tmp_path / "answers.jsonl").exists()
