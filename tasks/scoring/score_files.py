"""The files of `pixtrack score`: scores.csv, a row a prediction, and summary.json."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.csv_cells import safe_cell
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.runs.directory import Interval
from pixtrack.tasks.scoring.metrics import metric_of
from pixtrack.tasks.scoring.scored import ScoredRun, clusters_of


def summary_of(
    scored: ScoredRun, dataset: DatasetConfig, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """summary.json as a dict: values, errors and intervals on the 0-100 scale.

    Besides what was scored it says how: each metric's source and version, over how many images
    the errors are clustered, how many rows failed, and `provenance` (files, post-processing).
    """
    table = scored.table
    images = len(set(clusters_of(table).tolist()))
    failed = table.loc[table["error"] != "", ["index", "error"]]
    return {
        "dataset": dataset.name,
        "n": len(table),
        "headline": dataset.headline,
        "metrics": {
            name: {
                **_as_json(interval),
                "title": metric_of(dataset, name).title,
                "source": metric_of(dataset, name).source,
                "version": metric_of(dataset, name).version,
            }
            for name, interval in scored.metrics.items()
        },
        "by": {
            breakdown: {
                group: {name: _as_json(interval) for name, interval in metrics.items()}
                for group, metrics in groups.items()
            }
            for breakdown, groups in scored.by.items()
        },
        "states": {
            owner: {state: count.model_dump() for state, count in states.items()}
            for owner, states in scored.states.items()
        },
        "figures": scored.figures,
        "images": images,
        "clustering": clustering_note(table, images),
        "failed": [
            {"index": int(index), "error": error}
            for index, error in zip(failed["index"], failed["error"], strict=True)
        ],
        **provenance,
    }


def clustering_note(table: pd.DataFrame, images: int) -> str:
    """What the standard errors are clustered by, in a sentence."""
    if (table["image"] != "").any():
        return f"by image content: {images} images, {len(table)} questions"
    if images == len(table):
        return (
            f"by image name, but each of the {images} questions names a file of its own, so the "
            "clustered error is the naive one; the prepared dataset groups images by content"
        )
    return f"by image name: {images} images, {len(table)} questions"


def write_score_files(out: Path, scored: ScoredRun, summary: Mapping[str, Any]) -> None:
    """Writes out/scores.csv (index, prediction, a column a metric in [0, 1]) and summary.json.

    A score that does not exist (failed row, or left out by the metric) is an empty cell. Where
    some answer has a state ("mmmu: guessed"), a last column says so.
    """
    metrics = list(scored.metrics)
    last = ["state"] if scored.states else []
    out.mkdir(parents=True, exist_ok=True)
    partial = out / ".scores.csv.partial"
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "prediction", *metrics, *last])
        columns = (scored.table[name].tolist() for name in ("index", "prediction", *metrics))
        states = ([state] if last else [] for state in scored.table["state"].tolist())
        for state, index, prediction, *scores in zip(states, *columns, strict=True):
            shown = ("" if score != score else repr(score) for score in scores)
            writer.writerow([index, safe_cell(prediction), *shown, *state])
    partial.replace(out / "scores.csv")
    write_atomically(out / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def _as_json(interval: Interval) -> dict[str, Any]:
    return {
        "value": interval.value,
        "stderr": interval.stderr,
        "ci95": None if interval.ci95 is None else list(interval.ci95),
        "stderr_naive": interval.stderr_naive,
        "n": interval.n,
    }
