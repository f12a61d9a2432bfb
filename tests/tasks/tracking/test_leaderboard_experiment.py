from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.tracking import experiments, log_comparison, log_curves, log_run
from pixtrack.tasks.tracking.views import TAG, decode
from tests.doubles.finished_runs import finished_run
from tests.doubles.synthetic_runs import DatasetFactory


def rows(mlflow: Any) -> dict[str, Any]:
    board = mlflow.get_experiment_by_name("leaderboard")
    return {one.info.run_name: one for one in mlflow.search_runs([board.experiment_id])}


def test_a_model_has_one_row_with_a_column_a_dataset(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    other = dataclasses.replace(dataset, name="other_dataset", written={})
    for where in (dataset, other):
        log_run(finished_run(where, "omega"), home.images)
    row = rows(mlflow)["Omega · short"]
    assert {f"{dataset.name}/anls", "other_dataset/anls"} <= set(row.data.metrics)
    assert "other_dataset" in row.data.tags["mlflow.note.content"]
    view = decode(mlflow.get_experiment(row.info.experiment_id).tags[TAG])
    assert "metrics.`other_dataset/anls`" in view["selectedColumns"]


def test_runs_over_the_first_questions_are_not_on_the_board(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    log_run(finished_run(dataset, "whole"), home.images)
    log_run(finished_run(dataset, "trial", limit=10), home.images)
    assert not any(name.startswith("Trial") for name in rows(mlflow))


def test_an_older_run_does_not_replace_a_newer_one(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    new = finished_run(dataset, "delta", skill=2.0, created="2026-02-01T00:00:00+00:00")
    old = finished_run(dataset, "delta", skill=-1.0, created="2026-01-01T00:00:00+00:00")
    log_run(new, home.images)
    summary = new.read_summary()
    assert summary and summary.metrics["anls"].value
    log_run(old, home.images)
    shown = rows(mlflow)["Delta · short"].data.metrics[f"{dataset.name}/anls"]
    assert shown == pytest.approx(summary.metrics["anls"].value, abs=0.006)


def test_curves_are_one_run_with_every_step(home: Home, mlflow: Any) -> None:
    steps = ({"step": step, "loss": 5.0 / (step + 1), "rate": 1e-3} for step in range(700))
    link = log_curves("training", "nano · seed 0", {"layers": 4, "data": {"seed": 1}}, steps)
    (run,) = mlflow.search_runs([mlflow.get_experiment_by_name("training").experiment_id])
    assert run.info.run_name == "nano · seed 0" and run.info.status == "FINISHED"
    assert run.data.params == {"layers": "4", "data.seed": "1"}
    history = mlflow.get_metric_history(run.info.run_id, "loss")
    assert [one.step for one in history] == list(range(700))
    assert run.info.run_id in link


def test_curves_that_break_off_end_failed(home: Home, mlflow: Any) -> None:
    def rows() -> Any:
        yield {"step": 0, "loss": 1.0}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        log_curves("broken", "run", {}, rows())
    (run,) = mlflow.search_runs([mlflow.get_experiment_by_name("broken").experiment_id])
    assert run.info.status == "FAILED"


def test_a_comparison_of_one_name_keeps_one_run(home: Home, mlflow: Any, tmp_path: Path) -> None:
    page = tmp_path / "comparison" / "index.html"
    page.parent.mkdir()
    for text in ("first", "second"):
        page.write_text(text)
        link = log_comparison(
            "alpha against beta", page.parent, note=text, metrics={"d/A, tiny · p@q": 1.5}
        )
    number = mlflow.get_experiment_by_name("comparisons").experiment_id
    (run,) = mlflow.search_runs([number])
    assert run.data.tags["mlflow.note.content"] == "second"
    assert run.data.metrics == {"d/A- tiny - p-q": 1.5}
    logged = mlflow.download_artifacts(run.info.run_id, "index.html", str(tmp_path))
    assert Path(logged).read_text() == "second"
    assert link.endswith("/artifacts/index.html?workflowType=machine_learning")
    assert "viewStateShareKey=pixtrack" in experiments()["comparisons"]
