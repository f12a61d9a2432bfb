"""What is logged besides evaluations: training curves and comparisons, each as one flat run."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pixtrack.tasks.tracking import views
from pixtrack.tasks.tracking.connection import client, experiment_id, reported, tracking_uri
from pixtrack.tasks.tracking.content import flatten
from pixtrack.tasks.tracking.lengths import LONGEST_NAME, short_name, short_text
from pixtrack.tasks.tracking.links import experiment_link, run_link, ui_address
from pixtrack.tasks.tracking.waiting import while_it_answers

_BATCH = 900
COMPARISONS = "comparisons"
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


def log_curves(
    experiment: str,
    run_name: str,
    params: Mapping[str, Any],
    rows: Iterable[Mapping[str, float]],
    tags: Mapping[str, str] | None = None,
) -> str:
    """Logs curves as a new run of that experiment; returns a link to its charts.

    A row holds `step` (int), optionally `seconds` (Unix time of the step), and metric name ->
    value. Sent in batches as the rows come, so that a long training may pass a generator. Raises
    TrackingUnavailable; the run is then marked FAILED, if the store still answers.
    """
    from mlflow.entities import Metric, Param

    uri = tracking_uri()
    with reported(uri, "did not take the curves"):
        mlflow = client(uri)
        experiment_number = experiment_id(experiment, uri, _EXPERIMENT_TAGS)
        source = {"mlflow.source.name": "pixtrack", "mlflow.source.type": "LOCAL"}
        run_id = mlflow.create_run(
            experiment_number, run_name=run_name, tags={**source, **(tags or {})}
        ).info.run_id
        status = "FAILED"
        try:
            flat = flatten(params)
            mlflow.log_batch(run_id, params=[Param(key, value) for key, value in flat.items()])
            batch: list[Any] = []
            for row in rows:
                at = int(float(row.get("seconds", time.time())) * 1000)
                batch += [
                    Metric(metric_name(name), float(value), at, int(row["step"]))
                    for name, value in row.items()
                    if name not in ("step", "seconds")
                ]
                while len(batch) >= _BATCH:
                    mlflow.log_batch(run_id, metrics=batch[:_BATCH])
                    batch = batch[_BATCH:]
            mlflow.log_batch(run_id, metrics=batch)
            status = "FINISHED"
        finally:
            mlflow.set_terminated(run_id, status)
    return run_link(ui_address(uri), experiment_number, str(run_id), "model-metrics")


def log_comparison(
    name: str,
    directory: Path,
    *,
    note: str = "",
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Logs a comparison's files as one run of the experiment `comparisons`; returns its link.

    A comparison of the same `name` replaces the earlier one's files and keeps its run.

    Args:
        name: the run's name
        directory: what the comparison wrote (HTML page, Markdown, CSV, JSON); the link opens
            index.html, if there is one
        note: Markdown for the run's page
        params: what was compared, and how
        metrics: as they are to be shown, digit by digit; `difference` and `p` have columns in the
            experiment's list
        tags: what the run can be found by

    Raises TrackingUnavailable.
    """
    uri = tracking_uri()
    return while_it_answers(
        uri,
        lambda: _log_comparison(
            uri, name, directory, note, params or {}, metrics or {}, tags or {}
        ),
    )


def _log_comparison(
    uri: str,
    name: str,
    directory: Path,
    note: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> str:
    from mlflow.entities import Metric, Param, RunTag

    with reported(uri, "did not take the comparison"):
        mlflow = client(uri)
        experiment_number = experiment_id(COMPARISONS, uri, _EXPERIMENT_TAGS)
        key = "mlflow.pixtrack.comparison"
        quoted = short_text(name.replace("'", ""), LONGEST_NAME)
        found = mlflow.search_runs([experiment_number], f"tags.`{key}` = '{quoted}'", max_results=1)
        run = found[0] if found else None
        if run is None:
            made_by = {key: quoted, "mlflow.source.name": "pixtrack compare"}
            run = mlflow.create_run(experiment_number, run_name=short_name(name), tags=made_by)
        run_id = run.info.run_id
        all_tags = {**tags, "mlflow.note.content": note}
        have = run.data.params
        now = int(time.time() * 1000)
        flat = flatten(params)
        mlflow.log_batch(
            run_id,
            params=[Param(one, value) for one, value in flat.items() if one not in have],
            metrics=[
                Metric(metric_name(one), float(value), now, 0) for one, value in metrics.items()
            ],
            tags=[RunTag(one, short_text(value)) for one, value in all_tags.items() if value],
        )
        mlflow.log_artifacts(run_id, str(directory))
        mlflow.set_terminated(run_id, "FINISHED")
        about = "Which run is better, by how much, and is it real: a run's page has the verdict."
        views.publish(mlflow, experiment_number, "Comparisons", views.comparisons_view(), about)
    page = "artifacts/index.html" if (directory / "index.html").is_file() else "artifacts"
    return run_link(ui_address(uri), experiment_number, str(run_id), page)


def metric_name(name: str) -> str:
    """A name that MLflow takes: word characters, spaces and `/ . - :` stay, others become `-`."""
    kept = " ".join(re.sub(r"[^\w/.\-: ]", "-", name).split()).strip("/. ") or "unnamed"
    return short_name(kept)


def experiments() -> dict[str, str]:
    """Name to link of every experiment of the store that has runs to look at."""
    uri = tracking_uri()
    with reported(uri, "cannot be read"):
        mlflow = client(uri)
        base = ui_address(uri)
        return {
            one.name: experiment_link(
                base,
                one.experiment_id,
                "" if one.name == COMPARISONS else "CHART",
                saved=views.TAG in one.tags,
            )
            for one in mlflow.search_experiments(max_results=1000)
            if one.name != "Default"
        }
