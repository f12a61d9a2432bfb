"""How two runs agree, question by question: the grid of the page that filters its gallery."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixtrack.tasks.comparison.report.words import sides
from pixtrack.tasks.comparison.result import Comparison, DatasetComparison, Difference
from pixtrack.tasks.comparison.statistics import RIGHT

_BINS = (
    (0.0, 1e-9, "0"),
    (1e-9, RIGHT, "under 50"),
    (RIGHT, 1 - 1e-9, "50 to 99"),
    (1 - 1e-9, 2, "100"),
)


def agreement_grid(
    comparison: Comparison, dataset: DatasetComparison, pair: Difference
) -> dict[str, Any]:
    """The counts of questions by both runs' scores: right and wrong, or four grades."""
    answers = comparison.questions(dataset.dataset).answers
    ours = answers[pair.run]["score"].to_numpy(float)
    theirs = answers[pair.against]["score"].to_numpy(float)
    known = ~np.isnan(ours) & ~np.isnan(theirs)
    ours, theirs = ours[known], theirs[known]
    used = np.concatenate([ours, theirs])
    bins = [one for one in _BINS if one[2] in ("0", "100") or _within(used, one).any()]
    binary = len(bins) == 2
    names = {"0": "wrong", "100": "right"} if binary else {}
    counts = np.array(
        [[int((_within(ours, a) & _within(theirs, b)).sum()) for b in bins] for a in bins]
    )
    between = sides(dataset, pair)
    off_diagonal = counts.copy()
    np.fill_diagonal(off_diagonal, 0)
    most, most_apart = max(int(counts.max(initial=0)), 1), max(int(off_diagonal.max(initial=0)), 1)
    rows = []
    for i, one in enumerate(bins):
        cells = []
        for j, other in enumerate(bins):
            count = int(counts[i, j])
            name_one, name_other = names.get(one[2], one[2]), names.get(other[2], other[2])
            cells.append(
                {
                    "count": count,
                    "text": f"{count:,}",
                    "share": round(count / (most if i == j else most_apart), 3) if count else 0,
                    "side": "same" if i == j else "run" if i > j else "against",
                    "run_range": f"{one[0]:g} {one[1]:.10g}",
                    "against_range": f"{other[0]:g} {other[1]:.10g}",
                    "label": f"{count:,} questions: {between['run']} {name_one}, "
                    f"{between['against']} {name_other}; show them",
                }
            )
        rows.append({"name": names.get(one[2], one[2]), "cells": cells})
    note = "" if pair.agreement is None else f"Right and wrong agree on {pair.agreement:.1%}"
    if pair.kappa is not None:
        note += f" (kappa {pair.kappa:.2f})"
    if pair.same_prediction is not None:
        note += f"; the same text on {pair.same_prediction:.1%}."
    title = f"{between['run']} and {between['against']}"
    if len(comparison.datasets) > 1:
        title += f" on {dataset.dataset}"
    return {
        **between,
        "title": title,
        "note": note,
        "run_key": pair.run,
        "against_key": pair.against,
        "columns": [names.get(one[2], one[2]) for one in bins],
        "cells": rows,
    }


def _within(scores: NDArray[np.float64], one: tuple[float, float, str]) -> NDArray[np.bool_]:
    return (scores >= one[0]) & (scores < one[1])
