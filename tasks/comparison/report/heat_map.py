"""Scores and differences by group of questions: the heat map of the page."""

from __future__ import annotations

from typing import Any

from pixtrack.tasks.comparison import plots
from pixtrack.tasks.comparison import result_tables as table
from pixtrack.tasks.comparison.report.words import mark, number, sides
from pixtrack.tasks.comparison.result import DatasetComparison, GroupRow, PairedInterval
from pixtrack.tasks.comparison.verdict import interval_words, plural, scope_words, signed

FEW_IMAGES = 15
"""Below so many images an interval says little, and the heat map does not colour the cell."""


def heat_map(dataset: DatasetComparison) -> dict[str, Any]:
    """The breakdowns of a dataset with each cell's text and shade."""
    groups = [group for breakdown in dataset.breakdowns for group in breakdown.groups]
    scores = [
        interval.value
        for group in groups
        for interval in group.scores.values()
        if interval.value is not None
    ]
    low, high = min(scores, default=0.0), max(scores, default=100.0)
    widest = max(
        (
            abs(d.value)
            for group in groups
            for d in group.differences.values()
            if d.value and not _few(group)
        ),
        default=1.0,
    )
    runs = sorted(dataset.runs, key=lambda run: int(run.key[1:]))
    return {
        "title": dataset.title,
        "property": "Group",
        "runs": [
            dict(zip(("letter", "series"), mark(run.key), strict=True), label=run.label)
            for run in runs
        ],
        "pairs": [sides(dataset, pair) for pair in dataset.differences],
        "parts": [
            {
                "title": table.BREAKDOWN_TITLES.get(breakdown.name, breakdown.name),
                "groups": [
                    {
                        "name": group.group,
                        "n": f"{group.n:,}",
                        "few": _few(group),
                        "scores": [
                            {
                                "text": number(group.scores[run.key].value, 1),
                                "share": plots.sequential(group.scores[run.key].value, low, high)
                                or 0,
                                "title": f"{run.label}, {group.group}: "
                                f"{table.score_words(group.scores[run.key])}, {_scope(group, dataset.cluster)}",
                            }
                            for run in runs
                        ],
                        "differences": [
                            _difference_cell(
                                group.differences[pair.run], group, widest, dataset.cluster
                            )
                            for pair in dataset.differences
                        ],
                    }
                    for group in breakdown.groups
                ],
            }
            for breakdown in dataset.breakdowns
        ],
    }


def _difference_cell(
    one: PairedInterval, group: GroupRow, widest: float, cluster: str
) -> dict[str, Any]:
    clear = one.ci95 is not None and (one.ci95[0] > 0 or one.ci95[1] < 0) and not _few(group)
    side = "" if not clear or one.value is None else "plus" if one.value > 0 else "down"
    return {
        "text": "–" if one.value is None else signed(one.value),
        "interval": interval_words(*one.ci95) if one.ci95 else "",
        "side": side,
        "share": round(min(1.0, abs(one.value or 0) / widest), 3),
        "title": _scope(group, cluster)
        + ("" if one.ci95 else f"; too few {plural(cluster)} for an interval"),
    }


def _few(group: GroupRow) -> bool:
    return group.images < FEW_IMAGES


def _scope(group: GroupRow, cluster: str) -> str:
    return scope_words(group.n, group.images, cluster)
