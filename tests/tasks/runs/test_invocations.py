"""What was asked, and how long it took, as the journal tells where nobody noted it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtrack.tasks.records import Answer
from pixtrack.tasks.runs.directory import RunRecord
from pixtrack.tasks.runs.invocations import account_for_killed, read_invocations
from pixtrack.tasks.runs.journal import Journal

FIRST, SECOND = "2026-01-01T10:00:00.000+00:00", "2026-01-01T11:00:00.500+00:00"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two invocations, an answer of nobody's, one that failed and was asked again, a torn line."""
    path = tmp_path / "answers.jsonl"
    lines: list[tuple[int, str, str, float]] = [
        (0, "stop", "", 0.0),
        (1, "stop", FIRST, 1.5),
        (2, "error", FIRST, 2.25),
        (2, "stop", SECOND, 0.5),
        (3, "length", SECOND, 61.0),
    ]
    with Journal(path, "f" * 64) as writer:
        for index, reason, started, elapsed in lines:
            stamp = {"started": started, "elapsed": elapsed} if started else None
            writer.append(Answer(index, "a", reason), stamp)  # type: ignore[arg-type]
    with path.open("ab") as file:
        file.write(b'{"index":4,"text":"a","finish_rea')
    return path


def record(*invocations: dict[str, object]) -> RunRecord:
    return RunRecord(
        name="r", fingerprint="f", identity={}, dataset="d", dataset_digest="", model="m",
        prompt="p", limit=None, headline="anls", metrics=("anls",), created=FIRST,
        invocations=list(invocations),
    )  # fmt: skip


def test_invocations_are_told_apart_and_counted(journal: Path, tmp_path: Path) -> None:
    found = [(one.started, one.asked, one.seconds) for one in read_invocations(journal)]
    assert found == [(FIRST, 2, 2.25), (SECOND, 2, 61.0)]
    assert read_invocations(tmp_path / "none.jsonl") == []


def test_killed_invocations_join_the_record_once(journal: Path) -> None:
    noted = {"started": FIRST, "ended": "later", "asked": 2, "seconds": 2.4}
    run = record(noted)
    for _ in range(2):
        account_for_killed(run, journal)
    assert run.invocations == [
        noted,
        {
            "started": SECOND, "ended": "2026-01-01T11:01:01+00:00", "asked": 2, "seconds": 61.0,
            "status": "killed", "reconstructed": True,
        },
    ]  # fmt: skip


def test_a_count_that_was_noted_too_early_is_corrected(journal: Path) -> None:
    run = record({"started": FIRST, "asked": 1, "seconds": 1.9}, {"started": SECOND, "asked": 2})
    account_for_killed(run, journal)
    assert run.invocations == [
        {"started": FIRST, "asked": 2, "seconds": 2.25},
        {"started": SECOND, "asked": 2},
    ]


def test_entries_of_before_stay_and_a_run_without_answers_has_none(tmp_path: Path) -> None:
    run = record({"ended": "x", "asked": 3, "seconds": 1.0})
    account_for_killed(run, tmp_path / "none.jsonl")
    assert run.invocations == [{"ended": "x", "asked": 3, "seconds": 1.0}]
