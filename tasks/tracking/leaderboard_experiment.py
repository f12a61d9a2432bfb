"""The experiment `leaderboard`: one run a model and prompt, with every dataset's headline metric.

MLflow compares runs within an experiment best, and a model's datasets lie in several.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.tracking import views
from pixtrack.tasks.tracking.connection import client, experiment_id
from pixtrack.tasks.tracking.content import RunContent
from pixtrack.tasks.tracking.lengths import short_name, short_text
from pixtrack.tasks.tracking.links import TrackedRun, run_link
from pixtrack.tasks.tracking.pages import interval_text

EXPERIMENT = "leaderboard"

_KEY_TAG = "mlflow.pixtrack.leaderboard_key"
_CELL_TAG = "mlflow.pixtrack.leaderboard."
"""And the dataset's name: which run the row's number comes from, as JSON."""


def update(content: RunContent, tracked: TrackedRun) -> str | None:
    """Puts the run's headline on its model's row; returns the leaderboard's experiment id.

    Runs that were cut short by a limit are left out (None): their numbers stand for other
    questions. A run older than the one on the board does not replace it.
    """
    record, summary = content.record, content.summary
    headline = summary.metrics.get(summary.headline) if summary else None
    if headline is None or headline.value is None or record.limit or record.status == "failed":
        return None
    mlflow = client(tracked.uri)
    board = experiment_id(
        EXPERIMENT, tracked.uri, {"mlflow.experimentKind": "custom_model_development"}
    )
    rows = mlflow.search_runs([board], max_results=1000)
    imported = ("imported",) if record.imported_from else ()
    key = " · ".join((record.model, record.prompt, *imported))
    row = next((one for one in rows if one.data.tags.get(_KEY_TAG) == key), None)
    if row is None:
        tags = {_KEY_TAG: key, "mlflow.source.name": "pixtrack", "mlflow.source.type": "LOCAL"}
        row = mlflow.create_run(board, tags=tags, run_name=short_name(content.run_name))
    cells = _cells(row.data.tags)
    if cells.get(record.dataset, {}).get("created", "") > record.created:
        return board
    name = f"{record.dataset}/{record.headline}"
    cell = {
        "created": record.created,
        "metric": name,
        "verdict": f"{record.headline} {interval_text(headline)}, {headline.n:,} questions",
        "experiment_id": tracked.experiment_id,
        "run_id": tracked.run_id,
    }
    cells[record.dataset] = cell
    values = {name: round(headline.value, 2)}
    if headline.ci95:
        low, high = (round(end, 2) for end in headline.ci95)
        values |= {f"{name}_ci_low": low, f"{name}_ci_high": high}
    _write(mlflow, row, content, values, cells)
    shown = {one["metric"] for other in rows for one in _cells(other.data.tags).values()} | {name}
    views.publish(
        mlflow,
        board,
        "Leaderboard",
        views.leaderboard_view(sorted(shown)),
        "One row a model and prompt, one column a dataset's headline metric; whole runs only.",
    )
    return board


def _write(
    mlflow: Any,
    row: Any,
    content: RunContent,
    values: Mapping[str, float],
    cells: Mapping[str, dict[str, str]],
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    record = content.record
    now, step = int(time.time() * 1000), len(content.summary.history) if content.summary else 0
    params = {"model": record.model, "prompt": record.prompt, "weights": record.weights}
    tags = {
        **params,
        f"{_CELL_TAG}{record.dataset}": json.dumps(cells[record.dataset]),
        "mlflow.note.content": _note(cells),
    }
    mlflow.log_batch(
        row.info.run_id,
        metrics=[Metric(name, value, now, step) for name, value in values.items()],
        params=[
            Param(name, value) for name, value in params.items() if name not in row.data.params
        ],
        tags=[RunTag(name, short_text(value)) for name, value in tags.items()],
    )
    mlflow.set_terminated(row.info.run_id, "FINISHED")


def _cells(tags: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Dataset to the cell that the row shows for it."""
    return {
        tag.removeprefix(_CELL_TAG): json.loads(value)
        for tag, value in tags.items()
        if tag.startswith(_CELL_TAG)
    }


def _note(cells: Mapping[str, dict[str, str]]) -> str:
    """The row's page: each dataset's verdict, linked to the run that it comes from."""
    lines = ["| dataset | headline |", "|---|---|"]
    for dataset, cell in sorted(cells.items()):
        link = run_link("", cell["experiment_id"], cell["run_id"])
        lines.append(f"| [{dataset}]({link}) | {cell['verdict']} |")
    return "\n".join(lines)
