from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking import begin, end, links, log_run
from pixtrack.tasks.tracking.links import read_tracked
from pixtrack.tasks.tracking.traces import OUTCOME
from tests.doubles.finished_runs import finished_run
from tests.doubles.synthetic_runs import DatasetFactory
from tests.tasks.tracking.conftest import artifact


def logged(run: RunDirectory, home: Home) -> str:
    """Logs the run; its MLflow run id."""
    log_run(run, home.images)
    tracked = read_tracked(run)
    assert tracked
    return tracked.run_id


def traces(mlflow: Any, run: RunDirectory) -> list[Any]:
    tracked = read_tracked(run)
    assert tracked
    return list(
        mlflow.search_traces(
            locations=[tracked.experiment_id], run_id=tracked.run_id, max_results=100
        )
    )


def test_a_run_is_flat_named_and_finished_in_its_datasets_experiment(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    begun = begin(run)
    assert mlflow.get_run(begun).info.status == "RUNNING"
    assert logged(run, home) == begun
    found = mlflow.get_run(begun)
    assert found.info.status == "FINISHED" and found.info.run_name == "Alpha · short"
    assert mlflow.get_experiment(found.info.experiment_id).name == dataset.name
    assert "mlflow.parentRunId" not in found.data.tags
    record = run.read_record()
    assert record and record.mlflow_run_id == begun


def test_every_run_has_the_same_columns(home: Home, mlflow: Any, dataset: DatasetFactory) -> None:
    first, second = [
        mlflow.get_run(logged(finished_run(dataset, model, skill=skill), home))
        for model, skill in (("alpha", 0.2), ("beta", 1.0))
    ]
    assert list(first.data.metrics) == list(second.data.metrics)
    assert list(first.data.params) == list(second.data.params)
    visible = [
        {tag for tag in run.data.tags if not tag.startswith("mlflow.")} for run in (first, second)
    ]
    assert visible[0] == visible[1]
    assert not any(tag.startswith("pixtrack") for tag in visible[0])


def test_dataset_input_carries_source_and_digest(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run_id = logged(finished_run(dataset), home)
    (entry,) = mlflow.get_run(run_id).inputs.dataset_inputs
    assert entry.dataset.name == dataset.name
    assert dataset.digest.startswith(entry.dataset.digest)
    assert json.loads(entry.dataset.source)["path"] == "owner/docvqa"


def test_model_page_has_the_scores_linked_to_the_dataset(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    run_id = logged(run, home)
    tracked = read_tracked(run)
    assert tracked
    (model,) = mlflow.search_logged_models([tracked.experiment_id])
    assert model.status == "READY" and model.source_run_id == run_id
    score = next(one for one in model.metrics if one.key == f"{dataset.name}/anls")
    assert (score.dataset_name, score.run_id) == (dataset.name, run_id)
    assert log_run(run, home.images) is False
    assert len(mlflow.search_logged_models([tracked.experiment_id])) == 1


def test_tables_and_files_are_artifacts_that_the_compare_view_finds(
    home: Home, mlflow: Any, dataset: DatasetFactory, tmp_path: Path
) -> None:
    run_id = logged(finished_run(dataset), home)
    names = {one.path for one in mlflow.list_artifacts(run_id)}
    assert {
        "answers.jsonl",
        "scores.parquet",
        "environment.json",
        "config.json",
        "predictions.json",
        "breakdowns.json",
        "engine.log",
    } <= names
    table = json.loads(artifact(mlflow, run_id, "predictions.json", tmp_path))
    assert len(table["data"]) == 40
    marked = json.loads(mlflow.get_run(run_id).data.tags["mlflow.loggedArtifacts"])
    assert {"path": "predictions.json", "type": "table"} in marked


def test_logging_again_changes_nothing(
    home: Home, mlflow: Any, dataset: DatasetFactory, tmp_path: Path
) -> None:
    run = finished_run(dataset)
    run_id = logged(run, home)
    before = mlflow.get_run(run_id)
    history = mlflow.get_metric_history(run_id, "headline")
    trace_ids = {trace.info.trace_id for trace in traces(mlflow, run)}
    assert log_run(run, home.images) is False
    after = mlflow.get_run(run_id)
    assert after.to_dictionary() == before.to_dictionary()
    assert len(mlflow.get_metric_history(run_id, "headline")) == len(history) == 1
    assert {trace.info.trace_id for trace in traces(mlflow, run)} == trace_ids
    table = json.loads(artifact(mlflow, run_id, "predictions.json", tmp_path))
    assert len(table["data"]) == 40


def test_a_resumed_run_is_logged_into_the_same_mlflow_run(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    first = begin(run)
    end(run, "cancelled")
    assert mlflow.get_run(first).info.status == "KILLED"
    (run.path / "tracking.json").unlink()  # found again by its tag
    assert begin(run) == first
    assert logged(run, home) == first
    assert mlflow.get_run(first).info.status == "FINISHED"


def test_a_failed_run_ends_failed_with_its_reason_on_its_page(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    record, summary = run.read_record(), run.read_summary()
    assert record and summary
    run.write_record(record.model_copy(update={"status": "failed", "message": "too many failed"}))
    run.write_summary(summary.model_copy(update={"status": "failed"}))
    run_id = logged(run, home)
    assert mlflow.get_run(run_id).info.status == "FAILED"


def test_rescored_metric_stands_beside_the_old_value(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    run_id = logged(run, home)
    summary = run.read_summary()
    assert summary
    old = summary.metrics["anls"]
    new = old.model_copy(update={"value": 12.34})
    past = {"scored": "2026-01-02", "metrics": {"anls": old.value}}
    run.write_summary(
        summary.model_copy(update={"metrics": {**summary.metrics, "anls": new}, "history": [past]})
    )
    assert log_run(run, home.images) is True
    values = mlflow.get_metric_history(run_id, f"{dataset.name}/anls")
    assert [(one.step, one.value) for one in values] == [
        (0, pytest.approx(old.value, abs=0.006)),
        (1, 12.34),
    ]
    assert mlflow.get_run(run_id).data.metrics["headline"] == 12.34
    assert "anls was" in mlflow.get_run(run_id).data.tags["mlflow.note.content"]


def test_traces_are_the_worst_answers_and_a_sample_with_image_golds_and_scores(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset, failed=[7])
    logged(run, home)
    found = traces(mlflow, run)
    assert len(found) == 8  # failures: 5, random: 3
    scores = pd.read_parquet(run.scores_file).set_index("index")
    failed = next(one for one in found if one.info.tags["outcome"] == "failed")
    assert failed.info.tags["index"] == "7" and failed.info.state == "ERROR"
    shown = next(one for one in found if one.info.tags["outcome"] == "wrong")
    row = scores.loc[int(shown.info.tags["index"])]
    span = shown.data.spans[0]
    assert span.inputs["question"] == row["question"]
    assert span.inputs["image"].startswith("mlflow-attachment://")
    assert span.outputs["prediction"] == row["prediction"]
    told = {one.name: one for one in shown.info.assessments}
    assert told[OUTCOME].feedback.value == "wrong"
    assert f"anls {row['anls']:.4g}" in told[OUTCOME].rationale
    assert set(told["expected_response"].expectation.value.split(" | ")) == set(row["answers"])
    assert shown.info.execution_duration == 400


def test_no_number_of_the_selected_traces_can_be_averaged_and_taken_for_a_score(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset, failed=[7])
    logged(run, home)
    given = [one for trace in traces(mlflow, run) for one in trace.info.assessments if one.feedback]
    assert len(given) == 8 and {one.name for one in given} == {OUTCOME}
    assert all(isinstance(one.feedback.value, str) for one in given)


def test_only_the_runs_own_files_become_artifacts(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    names = {one.path for one in mlflow.list_artifacts(logged(run, home))}
    assert {"run.json", "predictions.json"} <= names
    assert not [name for name in names if name.startswith(".")]


def test_logging_again_replaces_only_the_traces_that_changed(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    logged(run, home)
    before = {one.info.tags["index"]: one.info.trace_id for one in traces(mlflow, run)}
    scores = pd.read_parquet(run.scores_file)
    index = sorted(before)[0]
    scores.loc[scores["index"] == int(index), "output"] = "something else"
    scores.to_parquet(run.scores_file)
    log_run(run, home.images)
    after = {one.info.tags["index"]: one.info.trace_id for one in traces(mlflow, run)}
    assert set(after) == set(before)
    assert {one for one in after if after[one] != before[one]} == {index}


def test_traces_can_be_searched_by_outcome(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset, failed=[7])
    logged(run, home)
    tracked = read_tracked(run)
    assert tracked
    found = mlflow.search_traces(
        locations=[tracked.experiment_id], filter_string="tags.outcome = 'failed'"
    )
    assert [one.info.tags["index"] for one in found] == ["7"]


def test_links_open_the_view_that_shows_runs(home: Home, dataset: DatasetFactory) -> None:
    run = finished_run(dataset)
    assert links(run) == {}
    log_run(run, home.images)
    found = links(run)
    assert {"run", "charts", "table", "traces", "models", "leaderboard"} <= set(found)
    assert all("workflowType=machine_learning" in link for link in found.values())
    assert "compareRunsMode=ARTIFACT" in found["table"]


def test_a_store_that_was_made_anew_gets_the_run_again(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    first = logged(run, home)
    mlflow.delete_run(first)
    second = logged(run, home)
    assert second != first
    assert mlflow.get_run(second).data.metrics["headline"] > 0


def test_a_look_at_a_finished_run_changes_nothing_but_its_end(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    run_id = logged(run, home)
    tags = mlflow.get_run(run_id).data.tags
    record, summary = run.read_record(), run.read_summary()
    assert record and summary
    run.write_record(record.model_copy(update={"git_commit": "later", "host": {"hostname": "x"}}))
    run.write_summary(summary.model_copy(update={"samples_per_s": None}))
    run.environment_file.write_text('[{"name": "memory", "detail": "less free than before"}]')
    assert begin(run) == run_id
    assert log_run(run, home.images) is False
    found = mlflow.get_run(run_id)
    assert found.info.status == "FINISHED"
    owner = "mlflow.pixtrack.owner"
    assert {**found.data.tags, owner: ""} == {**tags, owner: ""}
    assert len(mlflow.get_metric_history(run_id, "headline")) == 1


def test_a_run_without_golds_is_logged_with_its_answers_and_no_score(
    home: Home, mlflow: Any
) -> None:
    dataset = DatasetFactory(
        home,
        name="docvqa_test",
        questions=9,
        images=4,
        pages=3,
        published=False,
        options=("x", "y"),
    )
    run = finished_run(dataset, "beta", failed=[2])
    metrics = mlflow.get_run(logged(run, home)).data.metrics
    assert not [name for name in metrics if name.startswith(("headline", "docvqa_test"))]
    assert metrics["counts/without_gold"] == 8
    found = traces(mlflow, run)
    outcomes = sorted(trace.info.tags["outcome"] for trace in found)
    assert outcomes[0] == "failed" and set(outcomes[1:]) == {"unscored"}
    inputs = found[0].data.spans[0].inputs
    assert {"question", "options", "image 1", "image 2", "image 3"} <= set(inputs)
    assert inputs["options"] == "A. x | B. y"
    assert not [a for t in found for a in t.info.assessments if a.name == "expected_response"]
