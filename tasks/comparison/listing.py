"""Rows of plain values, read from run directories: what `pixtrack runs` and `errors` print."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.configs.paths import Home
from pixtrack.tasks.comparison import stored_runs
from pixtrack.tasks.comparison.resolve import StoredRun
from pixtrack.tasks.scoring.outcomes import outcome_of_row
from pixtrack.tasks.tracking import interrupted
from pixtrack.tasks.tracking.content import RunContent, samples_per_second
from pixtrack.tasks.tracking.links import read_tracked
from pixtrack.tasks.tracking.pages import golds_text, options_text

SORT_KEYS = ("created", "headline", "model", "dataset", "prompt", "n", "failed", "speed")

STATUSES = ("running", "interrupted", "completed", "failed", "cancelled")


def run_row(run: StoredRun) -> dict[str, Any]:
    """One run as `pixtrack runs` lists it; scores are 0-100."""
    record, summary = run.record, run.directory.read_summary()
    headline = summary.metrics.get(summary.headline) if summary else None
    tracked = read_tracked(run.directory)
    return {
        "name": record.name,
        "model": record.model,
        "dataset": record.dataset,
        "prompt": record.prompt,
        "status": "interrupted"
        if record.status == "running" and interrupted(run.directory)
        else record.status,
        "limit": record.limit,
        "metric": record.headline,
        "headline": headline.value if headline else None,
        "ci95": headline.ci95 if headline else None,
        "n": summary.n if summary else None,
        "answered": summary.answered if summary else None,
        "failed": summary.failed if summary else None,
        "truncated": summary.truncated if summary else None,
        "samples_per_s": samples_per_second(RunContent.read(run.directory)),
        "weights": record.weights,
        "created": record.created,
        "imported_from": record.imported_from,
        "mlflow_run_id": tracked.run_id if tracked and tracked.digest else None,
        "message": record.message,
        "note": record.note,
        "tags": list(record.tags),
        "archived": record.archived,
        "run_dir": str(run.directory.path),
    }


def run_rows(
    home: Home,
    *,
    where: dict[str, str | None],
    sort: str = "created",
    reverse: bool | None = None,
    archived: bool = False,
    tags: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """The runs whose values contain what `where` asks for, sorted; unknown values come last.

    Only runs that have all of `tags` count; archived ones only where `archived` asks for them.

    Numbers and dates sort from the largest down, names upwards; `reverse` turns that round.
    """
    if sort not in SORT_KEYS:
        raise unknown_name("sort key", sort, SORT_KEYS)
    status = where.get("status")
    if status and not any(status.lower() in known for known in STATUSES):
        raise unknown_name("status", status, STATUSES)
    wanted_tags = set(tags)
    rows = [
        run_row(run)
        for run in stored_runs(home, archived=archived)
        if wanted_tags <= set(run.record.tags)
    ]
    for key, wanted in where.items():
        if wanted:
            rows = [row for row in rows if wanted.lower() in str(row[key]).lower()]
    key = {"speed": "samples_per_s"}.get(sort, sort)
    known = [row for row in rows if row[key] is not None]
    unknown = [row for row in rows if row[key] is None]
    downwards = sort not in ("model", "dataset", "prompt")
    known.sort(key=_sort_key(key), reverse=downwards != bool(reverse))
    return known + unknown


def _sort_key(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[key]


def run_details(run: StoredRun) -> dict[str, Any]:
    """Everything about one run: record, summary, and where it was logged."""
    summary = run.directory.read_summary()
    tracked = read_tracked(run.directory)
    return {
        "record": run.record.model_dump(mode="json"),
        "summary": summary.model_dump(mode="json") if summary else None,
        "tracking": tracked.model_dump(mode="json") if tracked else None,
        "run_dir": str(run.directory.path),
    }


def worst_answers(
    run: StoredRun,
    home: Home,
    *,
    metric: str | None = None,
    count: int = 20,
    only: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """The run's answers with the lowest scores, failed samples first; each with its image's path.

    `only` keeps some outcomes: failed, truncated, wrong, partly, or unscored, which are listed
    where they are asked for or where nothing has a score. Right answers are never listed.
    """
    if not run.directory.scores_file.exists():
        raise UserError(f"{run.record.name}: no scores yet: finish the run with `pixtrack eval`")
    scores = pd.read_parquet(run.directory.scores_file)
    name = metric or run.record.headline
    if name not in scores.columns or name not in _metric_columns(run, scores):
        raise unknown_name("metric of this run", name, _metric_columns(run, scores))
    outcomes = [outcome_of_row(row, name) for row in scores.to_dict("records")]
    scores = scores.assign(outcome=outcomes, _order=[_ORDER[one] for one in outcomes])
    usual = {"failed", "truncated", "wrong", "partly"}
    if set(outcomes) <= {"failed", "unscored"}:
        usual = {"failed", "unscored"}
    wanted = set(only) or usual
    unknown = wanted - set(_ORDER)
    if unknown:
        raise unknown_name("outcome", sorted(unknown)[0], _ORDER)
    scores = scores[scores["outcome"].isin(wanted - {"right"})]
    scores = scores.sort_values(["_order", name, "index"], kind="stable").head(count)
    return [
        {
            "index": int(row["index"]),
            "question_id": str(row["question_id"]),
            "outcome": row["outcome"],
            "score": None if _missing(row[name]) else round(100 * float(row[name]), 1),
            "question": row["question"],
            "options": options_text(row.get("options")),
            "golds": golds_text(row["answers"]),
            "prediction": row["prediction"],
            "output": row["output"],
            "finish_reason": row["finish_reason"],
            "error": row["error"],
            "image": image_files(row, home.images)[0],
            "images": image_files(row, home.images),
            "images_left_out": int(row.get("images_left_out") or 0),
        }
        for row in scores.to_dict("records")
    ]


_ORDER = {"failed": 0, "wrong": 1, "truncated": 1, "partly": 2, "unscored": 3, "right": 4}


def image_files(row: dict[Any, Any], store: Path) -> list[str]:
    """The image files of a row of scores.parquet, in order; [""] for a question on none.

    Of an imported run they are the names that its annotation file has.
    """
    paths = row.get("images")
    shown = [str(path) for path in paths] if paths is not None else [str(row["image_path"])]
    if row["image"]:
        shown = [str(store / path) for path in shown]
    return shown or [""]


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _metric_columns(run: StoredRun, scores: pd.DataFrame) -> Sequence[str]:
    return [name for name in run.record.metrics if name in scores.columns]
