"""`pixtrack score` from end to end: an annotation file and predictions, nothing else."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pixtrack.configs.errors import UserError
from pixtrack.flows.cli.main import app
from pixtrack.tasks.records import Answer
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord
from pixtrack.tasks.runs.journal import Journal

PIXTRACK = Path(sys.executable).with_name("pixtrack")

ROWS = [
    {"image": "a.png", "question": "Who?", "question_id": 10, "answer": ["Ann", "Ann Lee"]},
    {"image": "a.png", "question": "When?", "question_id": 11, "answer": ["in two  days"]},
    {"image": "b.png", "question": "Where?", "question_id": 12, "answer": ["Rome"]},
    {"image": "c.png", "question": "Why?", "question_id": 13, "answer": ["why not"]},
]
PREDICTIONS = ["ann lee", "in 2 days.", "Rom", ""]
ANLS = [1.0, 1 - 4 / 12, 0.75, 0.0]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "home"))
    annotations = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "val.jsonl").write_text(annotations, encoding="utf-8")
    predictions = (
        json.dumps({"index": i, "prediction": text}) + "\n" for i, text in enumerate(PREDICTIONS)
    )
    (tmp_path / "predictions.jsonl").write_text("".join(predictions), encoding="utf-8")
    return tmp_path


def score(here: Path, *more: str, predictions: str = "predictions.jsonl") -> dict[str, Any]:
    arguments = ["score", "--dataset", "docvqa_val", "--predictions", str(here / predictions)]
    arguments += ["--annotations", str(here / "val.jsonl"), "--out", str(here / "out")]
    result = CliRunner().invoke(app, [*arguments, "--json", *more], catch_exceptions=False)
    assert result.exit_code == 0
    summary: dict[str, Any] = json.loads(result.stdout)
    assert summary == json.loads((here / "out" / "summary.json").read_text(encoding="utf-8"))
    return summary


def test_predictions_are_scored_from_an_annotation_file_alone(here: Path) -> None:
    summary = score(here)
    assert summary["dataset"] == "docvqa_val"
    assert summary["n"] == 4
    assert summary["headline"] == "anls"
    assert list(summary["metrics"]) == ["anls", "mistral_evals", "damqa"]
    anls = summary["metrics"]["anls"]
    assert anls["value"] == pytest.approx(100 * sum(ANLS) / 4)
    assert anls["ci95"][0] <= anls["value"] <= anls["ci95"][1]
    assert anls["stderr"] > 0
    assert anls["stderr_naive"] > 0
    assert anls["n"] == 4
    assert summary["by"]["answer_length"]["1 word"]["anls"]["n"] == 2
    assert summary["clustering"] == "by image name: 3 images, 4 questions"
    assert summary["failed"] == []


def test_the_table_has_a_row_a_prediction_and_a_column_a_metric(here: Path) -> None:
    score(here)
    with (here / "out" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "prediction", "anls", "mistral_evals", "damqa"]
    assert [row["index"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["prediction"] for row in rows] == PREDICTIONS
    assert [float(row["anls"]) for row in rows] == pytest.approx(ANLS)
    assert float(rows[1]["damqa"]) == pytest.approx(1.0)


def test_the_original_scripts_csv_scores_the_same(here: Path) -> None:
    with (here / "pixtral.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["question_id", "question", "predict", "gt", "image_id"])
        writer.writeheader()
        for row, text in zip(ROWS, PREDICTIONS, strict=True):
            writer.writerow(
                {
                    "question_id": row["question_id"],
                    "question": row["question"],
                    "predict": text,
                    "gt": row["answer"],
                    "image_id": "a",
                }
            )
    assert score(here, predictions="pixtral.csv")["metrics"] == score(here)["metrics"]


def test_a_prompts_postprocessing_can_be_asked_for(here: Path) -> None:
    lines = [
        json.dumps({"index": i, "prediction": f"{text}\nThat is what I see."}) + "\n"
        for i, text in enumerate(PREDICTIONS[:3])
    ]
    lines.append(json.dumps({"index": 3, "prediction": ""}) + "\n")
    (here / "wordy.jsonl").write_text("".join(lines), encoding="utf-8")
    assert score(here, predictions="wordy.jsonl")["metrics"]["anls"]["value"] < 50
    read = score(here, "--prompt", "setup_guide", predictions="wordy.jsonl")
    assert read["postprocess"] == ["first_line"]
    assert read["metrics"] == score(here)["metrics"]


def test_more_metrics_can_be_asked_for(here: Path) -> None:
    summary = score(here, "--metric", "exact_match", "-m", "anls")
    assert list(summary["metrics"]) == ["anls", "mistral_evals", "damqa", "exact_match"]
    with pytest.raises(UserError, match=r"unknown metric 'exact'.*exact_match.*FILE\.py:FUNCTION"):
        score(here, "--metric", "exact")


def test_a_missing_index_is_an_error_that_lists_it(here: Path) -> None:
    path = here / "predictions.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]))
    with pytest.raises(UserError, match=r"indexes missing: 0 \(1 in all\)"):
        score(here)
    assert not (here / "out").exists()


def test_the_console_command_prints_one_line_and_fails(here: Path) -> None:
    result = subprocess.run(
        [PIXTRACK, "score", "-d", "docvqa_val", "-f", "none.jsonl", "-o", "out", "--json"],
        cwd=here,
        env={**os.environ, "PIXTRACK_HOME": str(here / "home")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "docvqa_val is not prepared here" in result.stderr
    assert "--annotations" in result.stderr


def test_a_bad_annotation_row_is_failed_not_scored(here: Path) -> None:
    rows = [*ROWS[:3], {"image": "c.png", "question": "Why?", "question_id": 13, "answer": []}]
    (here / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = score(here)
    assert summary["metrics"]["anls"]["n"] == 3
    assert summary["failed"] == [{"index": 3, "error": "val.jsonl line 4: no gold answer"}]
    last = (here / "out" / "scores.csv").read_text(encoding="utf-8").splitlines()[-1]
    assert last == "3,,,,"


def test_an_annotation_file_of_another_layout_is_refused(here: Path) -> None:
    (here / "val.jsonl").write_text('{"query": "Who?", "label": "Ann"}\n')
    with pytest.raises(UserError, match=r"val\.jsonl line 1: no key 'question'"):
        score(here)


def test_an_annotation_file_that_is_not_the_published_one_is_told(here: Path) -> None:
    assert score(here)["annotations"]["as_published"] is False


def write_run(here: Path, limit: int | None, dataset: str = "docvqa_val") -> Path:
    run = RunDirectory(here / "run")
    record = RunRecord(
        name="run",
        fingerprint="f" * 64,
        identity={},
        dataset=dataset,
        dataset_digest="d",
        model="pixtral",
        prompt="plain",
        limit=limit,
        headline="anls",
        metrics=("anls",),
        created="2026-01-01T00:00:00+00:00",
    )
    run.write_record(record)
    prompt = {
        "name": "plain",
        "title": "Plain",
        "template": "{question}",
        "max_new_tokens": 8,
        "postprocess": ["first_line"],
    }
    run.config_file.write_text(json.dumps({"prompt": prompt}))
    with Journal(run.journal_file, record.fingerprint) as journal:
        for index, text in enumerate(PREDICTIONS[:limit]):
            journal.append(Answer(index, f"{text}\nmore", "stop"))
    return run.path


@pytest.mark.parametrize("named", ["run", "run/answers.jsonl"])
def test_a_runs_own_answers_are_scored_with_its_own_postprocessing(here: Path, named: str) -> None:
    write_run(here, limit=None)
    summary = score(here, predictions=named)
    assert summary["postprocess"] == ["first_line"]
    assert summary["metrics"]["anls"]["value"] > 60


def test_an_imported_run_has_no_prompt_and_is_scored_as_it_stands(here: Path) -> None:
    run = write_run(here, limit=None)
    (run / "config.json").write_text("{}")
    summary = score(here, predictions="run")
    assert summary["postprocess"] == []
    assert summary["metrics"]["anls"]["value"] < 50


def test_a_run_of_the_first_questions_is_scored_over_those(here: Path) -> None:
    write_run(here, limit=2)
    summary = score(here, predictions="run")
    assert summary["n"] == 2
    assert summary["metrics"]["anls"]["value"] == pytest.approx(100 * sum(ANLS[:2]) / 2)


def test_a_run_that_is_not_finished_lists_what_is_unanswered(here: Path) -> None:
    write_run(here, limit=None)
    journal = here / "run" / "answers.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=r"indexes missing: 3 \(1 in all\)"):
        score(here, predictions="run")


def test_a_run_on_another_dataset_is_refused(here: Path) -> None:
    write_run(here, limit=None, dataset="textvqa_val")
    with pytest.raises(UserError, match="a run on textvqa_val, not on docvqa_val"):
        score(here, predictions="run")


def test_the_table_on_a_terminal_names_headline_and_files(here: Path) -> None:
    arguments = ["score", "-d", "docvqa_val", "-f", str(here / "predictions.jsonl")]
    arguments += ["-a", str(here / "val.jsonl"), "-o", str(here / "out")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "anls *" in result.stdout
    assert "clustered by image name: 3 images" in result.stdout
    assert str(here / "out" / "scores.csv") in result.stdout


def test_a_place_that_cannot_be_written_is_one_line(here: Path) -> None:
    (here / "out").write_text("a file")
    arguments = ["--dataset", "docvqa_val", "--predictions", str(here / "predictions.jsonl")]
    arguments += ["--annotations", str(here / "val.jsonl"), "--out", str(here / "out")]
    refused = CliRunner().invoke(app, ["score", *arguments]).exception
    assert isinstance(refused, UserError) and "--out" in str(refused)
    imported = ["import", str(here / "predictions.jsonl"), "--model", "m"]
    imported += ["--dataset", "docvqa_val", "--annotations", str(here / "val.jsonl")]
    environment = {**os.environ, "PIXTRACK_HOME": str(here / "out")}
    ended = subprocess.run(
        [PIXTRACK, *imported], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "PIXTRACK_HOME" in ended.stderr
