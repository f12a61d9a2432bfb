"""A comparison as rows of plain values: the CSV files of its report."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from pixtrack.tasks.comparison.result import Comparison
from pixtrack.tasks.csv_cells import safe_cell


def leaderboard_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """A row a run and dataset."""
    return [
        {
            "dataset": dataset.dataset,
            "label": run.label,
            "model": run.model,
            "prompt": run.prompt,
            "metric": dataset.metric,
            "score": _round(run.score.value),
            "ci95_low": _round(run.score.ci95[0] if run.score.ci95 else None),
            "ci95_high": _round(run.score.ci95[1] if run.score.ci95 else None),
            "stderr": _round(run.score.stderr),
            "scored": run.score.n,
            "questions": dataset.questions,
            "images": dataset.images,
            "failed": run.failed,
            "truncated": run.truncated,
            "beside": "; ".join(run.beside),
            "samples_per_s": _round(run.speed.samples_per_s),
            "device": run.speed.device,
            "devices": run.speed.devices,
            "device_seconds_per_1000": _round(run.speed.device_seconds_per_1000),
            "engine": run.engine,
            "run": run.name,
            "fingerprint": run.fingerprint,
        }
        for dataset in comparison.datasets
        for run in dataset.runs
    ]


def difference_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """A row a pair and dataset."""
    rows = []
    for dataset in comparison.datasets:
        for pair in dataset.differences:
            low, high = pair.ci95 or (None, None)
            rows.append(
                {
                    "dataset": dataset.dataset,
                    "metric": dataset.metric,
                    "run": dataset.row(pair.run).label,
                    "against": dataset.row(pair.against).label,
                    "difference": _round(pair.difference),
                    "ci95_low": _round(low),
                    "ci95_high": _round(high),
                    "stderr": _round(pair.stderr),
                    "p": pair.p,
                    "p_holm": pair.p_corrected,
                    "questions": pair.n,
                    "images": pair.images,
                    "left_out": pair.left_out,
                    "wins": pair.wins,
                    "ties": pair.ties,
                    "losses": pair.losses,
                    "detectable": _round(pair.detectable),
                    "detectable_corrected": _round(pair.detectable_corrected),
                    "agreement": _round(pair.agreement),
                    "kappa": _round(pair.kappa),
                    "same_prediction": _round(pair.same_prediction),
                    "outcome": pair.outcome,
                }
            )
    return rows


def breakdown_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """A row a group, run and dataset."""
    rows = []
    for dataset in comparison.datasets:
        for breakdown in dataset.breakdowns:
            for group in breakdown.groups:
                for run in dataset.runs:
                    score = group.scores[run.key]
                    low, high = score.ci95 or (None, None)
                    rows.append(
                        {
                            "dataset": dataset.dataset,
                            "breakdown": breakdown.name,
                            "group": group.group,
                            "label": run.label,
                            "metric": dataset.metric,
                            "score": _round(score.value),
                            "ci95_low": _round(low),
                            "ci95_high": _round(high),
                            "scored": score.n,
                            "images": group.images,
                        }
                    )
    return rows


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of equal keys as CSV; "" for none."""
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: safe_cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
