"""`pixtrack runs`, `errors`, `rescore`, `sync` and `import`, as a user types them."""

from __future__ import annotations

import csv
import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset
from pixtrack.configs.paths import Home
from pixtrack.flows.cli.main import app
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking import TrackingUnavailable
from pixtrack.tasks.tracking.settings import TraceSettings, TrackingSettings
from tests.doubles.finished_runs import finished_run
from tests.doubles.recorder import MemoryRecorder
from tests.doubles.synthetic_runs import DatasetFactory
from tests.shared import ANNOTATIONS, needs_annotations


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("home"))
    docs = DatasetFactory(home, questions=24, images=6, pixels=(160, 200))
    finished_run(docs, "alpha", skill=0.0, created="2026-01-01T00:00:00+00:00")
    finished_run(docs, "beta", skill=2.0, failed=[5], created="2026-01-02T00:00:00+00:00")
    charts = DatasetFactory(home, name="chartqa_test_human", questions=24, images=6)
    finished_run(charts, "alpha", created="2026-01-03T00:00:00+00:00")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXTRACK_HOME", str(home.root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("PIXTRACK_CONFIGS", raising=False)
        few = TrackingSettings(traces=TraceSettings(failures=2, random=1))
        patch.setattr("pixtrack.tasks.tracking.traces.settings", lambda: few)
        yield home


def pixtrack(*words: str) -> Result:
    """Runs the command; a UserError is left as the result's exception."""
    return CliRunner().invoke(app, list(words))


def listed(*words: str) -> list[dict[str, Any]]:
    result = pixtrack("runs", *words, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_runs_are_listed_newest_first_and_filtered(home: Home) -> None:
    assert listed()[0]["dataset"] == "chartqa_test_human"
    assert {row["model"] for row in listed("--dataset", "docvqa_val")} == {"alpha", "beta"}
    assert len(listed("--model", "ALPHA", "--dataset", "chartqa")) == 1
    assert listed("--status", "failed") == []


def test_runs_sort_by_what_is_asked_and_turn_round(home: Home) -> None:
    down = [row["headline"] for row in listed("--sort", "headline")]
    assert down == sorted(down, reverse=True)
    assert [row["headline"] for row in listed("--sort", "headline", "--reverse")] == down[::-1]
    names = [row["model"] for row in listed("--sort", "model")]
    assert names == sorted(names)


def test_an_unknown_sort_key_lists_the_known(home: Home) -> None:
    error = pixtrack("runs", "--sort", "headlin").exception
    assert isinstance(error, UserError) and "Did you mean 'headline'" in str(error)


def test_the_table_says_which_runs_mlflow_has_not_got(home: Home) -> None:
    assert "not in MLflow" in pixtrack("runs").stdout
    assert pixtrack("sync").exit_code == 0
    assert "not in MLflow" not in pixtrack("runs").stdout


def test_sync_logs_each_run_once(home: Home) -> None:
    pixtrack("sync")
    result = pixtrack("sync", "--json")
    assert json.loads(result.stdout)["unchanged"] == len(listed())
    assert json.loads(result.stdout)["logged"] == 0


def test_a_run_is_shown_whole(home: Home) -> None:
    result = pixtrack("runs", "show", "beta@docvqa_val")
    assert result.exit_code == 0
    for wanted in ("beta", "anls", "sampling.max_tokens = 64", "directory"):
        assert wanted in result.stdout
    data = json.loads(pixtrack("runs", "show", "beta@docvqa_val", "--json").stdout)
    assert data["summary"]["failed"] == 1 and data["record"]["model"] == "beta"


def test_errors_are_the_worst_answers_with_their_image_files(home: Home) -> None:
    worst = json.loads(pixtrack("errors", "beta@docvqa_val", "--json").stdout)
    assert worst[0]["outcome"] == "failed" and worst[0]["score"] is None
    scores = [one["score"] for one in worst[1:]]
    assert scores == sorted(scores) and all(score < 100 for score in scores)
    assert all(Path(one["image"]).is_file() for one in worst)


def test_errors_can_be_narrowed_to_an_outcome(home: Home) -> None:
    worst = json.loads(pixtrack("errors", "alpha@docvqa_val", "--only", "partly", "--json").stdout)
    assert worst and {one["outcome"] for one in worst} == {"partly"}
    error = pixtrack("errors", "alpha@docvqa_val", "--only", "bad").exception
    assert isinstance(error, UserError) and "unknown outcome 'bad'" in str(error)
    error = pixtrack("errors", "alpha@docvqa_val", "--metric", "exact").exception
    assert isinstance(error, UserError) and "Did you mean 'exact_match'" in str(error)


def test_answers_without_golds_are_listed_with_their_options_and_images(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Home(tmp_path)
    monkeypatch.setenv("PIXTRACK_HOME", str(other.root))
    dataset = DatasetFactory(
        other, name="docvqa_test", questions=6, images=4, pages=3, published=False,
        options=("red", "blue"),
    )  # fmt: skip
    finished_run(dataset, "gamma", failed=[3])
    worst = json.loads(pixtrack("errors", "latest", "--json").stdout)
    assert [one["outcome"] for one in worst] == ["failed", *["unscored"] * 5]
    assert all(len(one["images"]) == 3 for one in worst)
    assert all(Path(image).is_file() for one in worst for image in one["images"])
    shown = pixtrack("errors", "latest", "--only", "unscored", "-n", "1").stdout
    assert "options     A. red | B. blue" in shown and "golds       not published" in shown
    assert shown.count(".png") == 3 and "not shown   2 of these images" in shown
    summary = pixtrack("runs", "show", "latest").stdout
    assert "5 answers have no score: their golds are not published" in summary


# --- import and rescore, on annotations made here ------------------------------


GOLDS = [("What is the total?", ["12.50", "12.5"]), ("Who signed?", ["J. Smith"]),
         ("Which year?", ["1975"]), ("How many?", ["7"])]  # fmt: skip
PREDICTED = ["12.50", "J Smith", "unanswerable", "7."]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """(predictions CSV of the setup guide's layout, annotation JSONL)."""
    annotations = tmp_path / "val.jsonl"
    annotations.write_text(
        "".join(
            json.dumps(
                {"image": f"p{i // 2}.png", "question": q, "question_id": 100 + i, "answer": golds}
            )
            + "\n"
            for i, (q, golds) in enumerate(GOLDS)
        )
    )
    predictions = tmp_path / "pixtral_docvqa_val.csv"
    with predictions.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question_id", "question", "predict", "gt", "image_id"])
        for i, ((question, golds), predicted) in enumerate(zip(GOLDS, PREDICTED, strict=True)):
            writer.writerow([100 + i, question, predicted, golds, f"p{i // 2}.png"])
    return predictions, annotations


def imported(predictions: Path, annotations: Path, model: str) -> dict[str, Any]:
    result = pixtrack(
        *("import", str(predictions), "--model", model, "--dataset", "docvqa_val"),
        *("--annotations", str(annotations), "--json"),
    )
    assert result.exit_code == 0, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_an_imported_csv_is_a_run_scored_by_every_metric_of_its_dataset(
    home: Home, files: tuple[Path, Path]
) -> None:
    summary = imported(*files, "pixtral-12b")
    assert summary["n"] == 4 and summary["status"] == "completed"
    assert set(summary["metrics"]) == set(load_dataset("docvqa_val").metrics)
    # "J Smith" for "J. Smith": 1 - 1/8; "7." for "7": 1 - 1/2, which the threshold keeps.
    assert summary["metrics"]["anls"]["value"] == pytest.approx(100 * (1 + 7 / 8 + 0 + 1 / 2) / 4)
    (row,) = [row for row in listed() if row["run_dir"] == summary["run_dir"]]
    assert row["imported_from"].endswith("pixtral_docvqa_val.csv") and row["mlflow_run_id"]
    worst = json.loads(pixtrack("errors", summary["run_dir"], "--json").stdout)
    assert worst[0]["question"] == "Which year?"


def test_importing_a_file_again_makes_no_second_run(home: Home, files: tuple[Path, Path]) -> None:
    first = imported(*files, "twice/over")
    before = len(listed())
    assert imported(*files, "twice/over") == first
    assert len(listed()) == before
    assert "/" not in Path(first["run_dir"]).name


def test_imported_runs_compare_with_each_other(home: Home, files: tuple[Path, Path]) -> None:
    predictions, annotations = files
    first = imported(predictions, annotations, "first of two")["run_dir"]
    predictions.write_text(predictions.read_text().replace("unanswerable", "1975"))
    second = imported(predictions, annotations, "second of two")["run_dir"]
    result = pixtrack("compare", first, second, "--no-track", "--json")
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)


def test_rows_out_of_order_are_refused_by_name(home: Home, files: tuple[Path, Path]) -> None:
    predictions, annotations = files
    lines = predictions.read_text().splitlines()
    predictions.write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]))
    result = pixtrack(
        *("import", str(predictions), "--model", "m", "--dataset", "docvqa_val"),
        *("--annotations", str(annotations)),
    )
    assert isinstance(result.exception, UserError)
    assert "row 0" in str(result.exception) and "order" in str(result.exception)


def test_rescoring_adds_a_metric_and_keeps_the_old_scores_beside(
    home: Home, files: tuple[Path, Path]
) -> None:
    run = imported(*files, "rescored")["run_dir"]
    result = pixtrack("rescore", run, "--metric", "exact_match")
    assert result.exit_code == 0, result.exception
    assert (
        "exact_match: 25.00 (new)" in result.stdout and "anls: 59.38 (as before)" in result.stdout
    )
    data = json.loads(pixtrack("runs", "show", run, "--json").stdout)
    (past,) = data["summary"]["history"]
    assert "exact_match" not in past["metrics"] and past["metrics"]["anls"] == pytest.approx(59.375)
    assert "exact_match" in data["record"]["metrics"]
    assert "unchanged" in pixtrack("rescore", run).stdout


def test_rescoring_corrects_a_stored_number_and_says_what_it_was(
    home: Home, files: tuple[Path, Path]
) -> None:
    run = Path(imported(*files, "corrected")["run_dir"])
    summary = json.loads((run / "summary.json").read_text())
    summary["metrics"]["anls"]["value"] = 99.0  # as an older, wrong scorer left it
    (run / "summary.json").write_text(json.dumps(summary))
    result = pixtrack("rescore", str(run))
    assert "anls: 59.38 (was 99.00)" in result.stdout
    assert "anls 99.00" in pixtrack("runs", "show", str(run)).stdout


def test_a_bad_tracking_address_is_one_line_before_any_work(
    home: Home, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(imported(*files, "untouched")["run_dir"])
    kept = {path: path.read_bytes() for path in run.iterdir()}
    runs = len(listed())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://server")
    new = ("import", str(files[0]), "--model", "new", "--dataset", "docvqa_val")
    for command in (
        ("rescore", str(run), "--metric", "exact_match"),
        (*new, "--annotations", str(files[1])),
        ("sync",),
    ):
        refused = pixtrack(*command)
        assert refused.exit_code != 0 and isinstance(refused.exception, TrackingUnavailable)
        assert "htp://server has no scheme that MLflow knows" in str(refused.exception)
    assert {path: path.read_bytes() for path in run.iterdir()} == kept
    # What only reads the runs' own files needs no store.
    assert len(listed()) == runs
    assert pixtrack("runs", "show", str(run)).exit_code == 0
    assert pixtrack("errors", str(run)).exit_code == 0


def test_a_store_that_goes_away_meanwhile_loses_no_import_and_is_said(
    home: Home, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = MemoryRecorder()
    monkeypatch.setattr(recorder, "check", lambda: setattr(recorder, "away", "gone"))
    monkeypatch.setattr(recorder, "log", MemoryRecorder(away="gone").log)
    monkeypatch.setattr("pixtrack.tasks.tracking.default_recorder", lambda: recorder)
    command = ("import", str(files[0]), "--model", "kept", "--dataset", "docvqa_val", "--json")
    done = pixtrack(*command, "--annotations", str(files[1]))
    assert done.exit_code == 1 and json.loads(done.stdout)["answered"] == 4
    assert "pixtrack: not logged (gone): run `pixtrack sync` later" in done.stderr


def test_rescoring_and_importing_leave_a_run_alone_that_another_command_works_on(
    home: Home, files: tuple[Path, Path]
) -> None:
    run = Path(imported(*files, "busy")["run_dir"])
    kept = {path: path.read_bytes() for path in run.iterdir()}
    again = ("import", str(files[0]), "--model", "busy", "--dataset", "docvqa_val")
    with (run / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            ("rescore", str(run), "--metric", "exact_match"),
            (*again, "--annotations", str(files[1])),
        ):
            refused = pixtrack(*command)
            assert refused.exit_code != 0 and isinstance(refused.exception, UserError)
            assert "another command is at work on this run" in str(refused.exception)
    assert {path: path.read_bytes() for path in run.iterdir()} == kept
    assert "exact_match" in pixtrack("rescore", str(run), "--metric", "exact_match").stdout


def test_rescoring_on_other_annotations_is_refused(home: Home, files: tuple[Path, Path]) -> None:
    predictions, annotations = files
    run = imported(predictions, annotations, "other")["run_dir"]
    annotations.write_text(annotations.read_text().replace("1975", "1976"))
    error = pixtrack("rescore", run).exception
    assert isinstance(error, UserError) and "another version" in str(error)


@needs_annotations
def test_the_real_docvqa_questions_come_in_whole(home: Home, tmp_path: Path) -> None:
    annotations = ANNOTATIONS / "docvqa_val.jsonl"
    rows = [json.loads(line) for line in annotations.read_text(encoding="utf-8").splitlines()]
    predictions = tmp_path / "perfect.csv"
    with predictions.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["question_id", "question", "predict", "gt", "image_id"])
        for row in rows:
            golds = row["answer"]
            writer.writerow([row["question_id"], row["question"], golds[0], golds, row["image"]])
    summary = imported(predictions, annotations, "perfect")
    assert (summary["n"], summary["metrics"]["anls"]["value"]) == (5349, 100.0)


def test_an_unknown_status_lists_the_known(home: Home) -> None:
    error = pixtrack("runs", "--status", "done").exception
    assert isinstance(error, UserError) and "completed" in str(error)


def test_runs_list_is_runs(home: Home) -> None:
    assert pixtrack("runs", "list").stdout == pixtrack("runs").stdout


def test_a_summary_names_the_folder_that_it_was_read_from(home: Home, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(next((home.runs / "docvqa_val").glob("alpha*")), moved)
    summary = RunDirectory(moved).read_summary()
    assert summary is not None and summary.run_dir == str(moved)


DAMAGED = ["", "{", "[]", "null", '{"n": 1}', "\x00" * 20]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_summary_is_made_anew_from_the_answers(
    home: Home, files: tuple[Path, Path], text: str
) -> None:
    whole = imported(*files, f"damaged-{DAMAGED.index(text)}")
    run = RunDirectory(Path(whole["run_dir"]))
    run.summary_file.write_text(text)
    assert run.path.name in {row["name"] for row in listed()}
    done = pixtrack("rescore", run.path.name)
    assert done.exit_code == 0, done.exception
    made = run.read_summary()
    assert made is not None
    now = made.model_dump(mode="json")
    assert {key: now[key] for key in ("metrics", "n", "answered", "failed", "status")} == {
        key: whole[key] for key in ("metrics", "n", "answered", "failed", "status")
    }


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_record_hides_no_other_run_and_says_that_no_answer_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path))
    docs = DatasetFactory(Home(tmp_path), questions=24, images=6)
    run, other = finished_run(docs, "alpha"), finished_run(docs, "beta")
    run.record_file.write_text(text)
    assert [row["name"] for row in listed()] == [other.path.name]
    (warning,) = caplog.messages
    assert str(run.record_file) in warning and "nothing that was answered is lost" in warning


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x00" * 20, '{"n": ' + "9" * 5_000])
def test_a_damaged_configuration_of_a_run_is_one_line_and_one_of_others_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path))
    docs = DatasetFactory(Home(tmp_path), questions=24, images=6)
    run, other = finished_run(docs, "alpha"), finished_run(docs, "beta")
    run.config_file.write_text(text)
    run.environment_file.write_text(text)
    error = pixtrack("runs", "show", run.path.name).exception
    assert isinstance(error, UserError)
    assert str(run.config_file) in str(error) and "writes this file anew" in str(error)
    other.environment_file.write_text(text)  # of use to nobody else: left out
    assert pixtrack("runs", "show", other.path.name).exit_code == 0
