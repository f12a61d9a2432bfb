"""Logs a finished run, from its directory alone, into its MLflow run: whole, and once.

A digest over everything that is sent is the last thing written; a run whose digest is there already
is left as it is, so logging again (a resumed flow, `pixtrack sync`) changes nothing.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.scratch import scratch_folder
from pixtrack.tasks.tracking import leaderboard_experiment as leaderboard
from pixtrack.tasks.tracking import pages, system, traces, views
from pixtrack.tasks.tracking.connection import client, reported, tracking_uri
from pixtrack.tasks.tracking.content import RunContent, params
from pixtrack.tasks.tracking.content import metrics as content_metrics
from pixtrack.tasks.tracking.content import tags as tags_of
from pixtrack.tasks.tracking.lifecycle import end, ensure_run, mlflow_status, new_params, run_tags
from pixtrack.tasks.tracking.links import TrackedRun, links_of, write_tracked
from pixtrack.tasks.tracking.waiting import while_it_answers

DIGEST_TAG = "mlflow.pixtrack.content_digest"
MODEL_TAG = "mlflow.pixtrack.logged_model"

_BATCH = 900
_LOG_TAIL_BYTES = 1_000_000
"""Of the engine's log: what went wrong is at its end."""


def log_run(run: RunDirectory, images: Path) -> bool:
    """Logs parameters, metrics, dataset, model, tables, artifacts and traces, and ends the run.

    `images` is the image store that the samples' paths are relative to. Works for completed,
    failed and imported runs alike, and makes the MLflow run where `begin` could not. Returns
    whether anything was sent. Raises TrackingUnavailable; the run directory then still holds
    everything, and the same call logs it later.
    """
    system.stop(run)
    uri = tracking_uri()
    return while_it_answers(uri, lambda: _log_run(run, images, uri))


def _log_run(run: RunDirectory, images: Path, uri: str) -> bool:
    content = RunContent.read(run)
    with reported(uri, "did not take everything"):
        tracked = ensure_run(content, uri)
        mlflow = client(uri)
        digest = content.digest()
        have = mlflow.get_run(tracked.run_id)
        if have.data.tags.get(DIGEST_TAG) == digest:
            _end(run, content, have.info.status)
            write_tracked(run, tracked.model_copy(update={"digest": digest}))
            return False
        model_id = _logged_model(mlflow, tracked, content, have.data.tags)
        _log_numbers(mlflow, tracked, content, model_id)
        _log_dataset(mlflow, tracked, content)
        _log_files(mlflow, tracked, content)
        system.send(run, tracked.run_id, uri)
        traces.log_traces(content, images, tracked, model_id)
        board = leaderboard.update(content, tracked)
        tracked = tracked.model_copy(update={"leaderboard_id": board or "", "digest": digest})
        _describe_experiment(mlflow, tracked, content)
        note = pages.description(content, links_of(tracked, base=""))
        mlflow.log_batch(
            tracked.run_id, tags=run_tags({"mlflow.note.content": note, DIGEST_TAG: digest})
        )
        _end(run, content)
    write_tracked(run, tracked)
    return True


def _describe_experiment(mlflow: Any, tracked: TrackedRun, content: RunContent) -> None:
    """The dataset's page: what it is, how its runs are best looked at, and the view for that."""
    dataset = content.config.get("dataset", {})
    links = links_of(tracked, base="")
    title = dataset.get("title") or content.record.dataset
    lines = [
        f"**{title}**: headline metric {content.record.headline} (0-100, higher is better).",
        f"[Charts]({links['charts']}) · [question by question]({links['table']}) · "
        f"[models]({links['models']})",
    ]
    state = views.dataset_view(content.record.dataset, content.metric_names)
    views.publish(mlflow, tracked.experiment_id, "Scores", state, "\n\n".join(lines))


def _end(run: RunDirectory, content: RunContent, now: str = "") -> None:
    """Closes the run as its record says, unless MLflow has it so already (`now`)."""
    status = content.record.status
    if status != "running" and now != mlflow_status(status):
        end(run, status)


def _logged_model(
    mlflow: Any, tracked: TrackedRun, content: RunContent, tags: dict[str, str]
) -> str:
    """The id of the run's LoggedModel: what the Models page lists, with metrics a dataset."""
    if MODEL_TAG in tags:
        return tags[MODEL_TAG]
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    record = content.record
    name = content.run_name.translate({ord(c): "_" for c in "/:.%\"'"})  # MLflow refuses these
    made = mlflow.create_logged_model(
        tracked.experiment_id,
        name=name,
        source_run_id=tracked.run_id,
        model_type="vision-language",
        params=params(content),
        tags={
            "model": record.model,
            "prompt": record.prompt,
            "weights": record.weights,
            # MLflow's mark of a model whose files it does not keep.
            "mlflow.model.isExternal": "true",
        },
    )
    mlflow.log_outputs(tracked.run_id, [LoggedModelOutput(made.model_id, step=0)])
    mlflow.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
    mlflow.set_tag(tracked.run_id, MODEL_TAG, made.model_id)
    return str(made.model_id)


def _log_numbers(mlflow: Any, tracked: TrackedRun, content: RunContent, model_id: str) -> None:
    """Parameters, tags and metrics; a metric that was rescored gets a new step beside the old."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    step = len(content.summary.history) if content.summary else 0
    scores = content.record.dataset
    metrics = [
        Metric(
            key,
            value,
            now,
            step,
            model_id=model_id,
            # Only scores belong to the dataset: the Models page shows a column for each pair.
            **(
                {"dataset_name": scores, "dataset_digest": content.dataset_digest}
                if key.startswith((f"{scores}/", "headline"))
                else {}
            ),
        )
        for key, value in content_metrics(content).items()
    ]
    mlflow.update_run(tracked.run_id, name=content.run_name)
    mlflow.log_batch(
        tracked.run_id,
        params=new_params(mlflow, tracked.run_id, content),
        tags=run_tags(tags_of(content)),
    )
    for start in range(0, len(metrics), _BATCH):
        mlflow.log_batch(tracked.run_id, metrics=metrics[start : start + _BATCH])


def _log_dataset(mlflow: Any, tracked: TrackedRun, content: RunContent) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    config = content.config.get("dataset", {})
    source = config.get("source", {})
    if source.get("kind") == "hub":
        kind = "hugging_face"
        where = {
            "path": source["repo"],
            "revision": source.get("revision"),
            "data_files": list(source.get("files", ())),
        }
    else:
        kind, where = "local", source
    n = content.summary.n if content.summary else None
    dataset = Dataset(
        name=content.record.dataset,
        digest=content.dataset_digest,
        source_type=kind,
        source=json.dumps(where),
        profile=json.dumps({"questions": n}),
    )
    mlflow.log_inputs(
        tracked.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "eval")])]
    )


def _log_files(mlflow: Any, tracked: TrackedRun, content: RunContent) -> None:
    """The run directory's files and the tables, in one folder, sent in one go."""
    run = content.run
    tables = {
        "predictions.json": pages.predictions(content),
        "breakdowns.json": pages.breakdowns(content),
    }
    with scratch_folder("log") as scratch:
        folder = scratch / "run"  # beside the scratch folder's own files
        folder.mkdir()
        for file in (
            run.record_file,
            run.config_file,
            run.environment_file,
            run.summary_file,
            run.journal_file,
            run.scores_file,
        ):
            if file.exists():
                shutil.copy(file, folder)
        if run.engine_log.exists():
            (folder / run.engine_log.name).write_bytes(_tail(run.engine_log))
        listed = []
        for file_name, table in tables.items():
            if table is not None:
                text = json.dumps(table, ensure_ascii=False, allow_nan=False)
                (folder / file_name).write_text(text, encoding="utf-8")
                listed.append({"path": file_name, "type": "table"})
        mlflow.log_artifacts(tracked.run_id, str(folder))
    # What MLflow's log_table leaves behind for the compare view; log_table itself would append.
    mlflow.set_tag(tracked.run_id, "mlflow.loggedArtifacts", json.dumps(listed))


def _tail(file: Path) -> bytes:
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _LOG_TAIL_BYTES))
        return stream.read()
