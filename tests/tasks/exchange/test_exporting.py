"""Submission files: the competitions' formats, and never an incomplete one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.flows.cli.main import app
from pixtrack.tasks.exchange.exporters import EXPORTERS
from pixtrack.tasks.exchange.exporting import export_run
from pixtrack.tasks.runs.directory import RunDirectory
from tests.doubles.synthetic_runs import DatasetFactory


def run_of(tmp_path: Path, ids: list[Any] | None = None, **changes: Any) -> RunDirectory:
    """A run of six questions, without golds, whose answers have quotes, line breaks and 中文."""
    dataset = DatasetFactory(Home(tmp_path), name="my_test", questions=6, images=3, published=False)
    run = dataset.run("alpha", **changes)
    scores = pd.read_parquet(run.scores_file)
    scores["question_id"] = [str(one) for one in ids or range(57347, 57347 + len(scores))]
    scores["prediction"] = [f'{n}: "a\nb" <b> 中文' for n in range(len(scores))]
    scores.to_parquet(run.scores_file)
    return run


@pytest.mark.parametrize(("name", "key"), [("rrc", "questionId"), ("evalai", "question_id")])
def test_every_question_is_in_the_file_with_its_number_and_answer(
    tmp_path: Path, name: str, key: str
) -> None:
    run = run_of(tmp_path)
    made = export_run(run, name)
    assert made.path == run.path / f"submission-{name}.json"
    assert (made.answers, made.empty) == (6, 0)
    entries = json.loads(made.path.read_text(encoding="utf-8"))
    assert entries == [{key: 57347 + n, "answer": f'{n}: "a\nb" <b> 中文'} for n in range(6)]


def test_every_format_can_be_asked_for_by_name(tmp_path: Path) -> None:
    assert set(EXPORTERS) == {"rrc", "evalai"}
    with pytest.raises(UserError, match=r"unknown format 'rcc'. Did you mean 'rrc'"):
        export_run(run_of(tmp_path), "rcc")


def test_a_run_over_the_first_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"asked only 4 questions.*without --limit"):
        export_run(run_of(tmp_path, limit=4), "rrc")


def test_questions_without_an_answer_are_refused_or_written_as_empty(tmp_path: Path) -> None:
    run = run_of(tmp_path, failed=[2, 5])
    with pytest.raises(UserError, match=r"2 of 6 questions have no answer.*57349: too long"):
        export_run(run, "rrc")
    assert not list(run.path.glob("submission*"))
    made = export_run(run, "rrc", tmp_path / "out" / "mine.json", allow_missing=True)
    entries = json.loads(made.path.read_text(encoding="utf-8"))
    assert made.empty == 2 and len(entries) == 6
    assert [one["questionId"] for one in entries if not one["answer"]] == [57349, 57352]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([1, 2, 3, 4, 5, "q6"], "'q6' is not a whole number"),
        ([1, 2, 3, 4, 5, ""], "'' is not a whole number"),
        ([1, 2, 3, 4, 5, "-1"], "'-1' is not a whole number"),
        ([1, 2, 3, 4, 5, "٣"], "is not a whole number"),
        ([1, 2, 3, 4, 5, 5], "question id 5 is in the dataset more than once"),
    ],
)
def test_ids_that_no_server_could_match_are_refused(
    tmp_path: Path, ids: list[Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        export_run(run_of(tmp_path, ids), "rrc")


def test_a_run_with_fewer_questions_than_the_dataset_is_refused(tmp_path: Path) -> None:
    dataset = DatasetFactory(Home(tmp_path), name="docvqa_test", questions=6, published=False)
    with pytest.raises(UserError, match=r"6 questions, but docvqa_test has 5,188"):
        export_run(dataset.run("alpha"), "rrc")


def test_a_run_without_answers_is_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.scores_file.unlink()
    with pytest.raises(UserError, match="no answers to export"):
        export_run(run, "rrc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no answers to export"):
        export_run(RunDirectory(tmp_path / "empty"), "rrc")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be written"):
        export_run(run_of(tmp_path), "rrc", tmp_path / "file" / "out.json")


def test_the_command_says_where_the_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path))
    run = run_of(tmp_path)
    result = CliRunner().invoke(app, ["export", "alpha@my_test", "--format", "rrc"])
    assert result.exit_code == 0, result.output
    assert "6 answers, as rrc" in result.stdout.replace("\n", "")
    printed = CliRunner().invoke(app, ["export", "latest", "-f", "evalai", "--json"]).stdout
    path = str(run.path / "submission-evalai.json")
    assert json.loads(printed) == {"path": path, "answers": 6, "empty": 0}
