"""Scores and paired differences by the questions' properties."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pixtrack.tasks.comparison.result import Breakdown, GroupRow, PairedInterval
from pixtrack.tasks.scoring.breakdowns import groups_of
from pixtrack.tasks.scoring.uncertainty import clustered_mean, interval_of_codes

Columns = Mapping[str, NDArray[np.float64]]


def breakdowns(
    questions: pd.DataFrame, images: NDArray[np.intp], scores: Columns, differences: Columns
) -> tuple[Breakdown, ...]:
    """Every breakdown with at least two groups.

    `scores` in [0, 1] and `differences` in [-1, 1] are by run key, a value a question, NaN where
    it does not count.
    """
    result = []
    for name, members in groups_of(questions).items():
        if len(members) < 2:
            continue
        groups = []
        for group, rows in members.items():
            groups.append(
                GroupRow(
                    group=group,
                    n=len(rows),
                    images=len(np.unique(images[rows])),
                    scores={
                        key: interval_of_codes(values[rows], images[rows])
                        for key, values in scores.items()
                    },
                    differences={
                        key: paired_interval(values[rows], images[rows])
                        for key, values in differences.items()
                    },
                )
            )
        result.append(Breakdown(name=name, groups=tuple(groups)))
    return tuple(result)


def paired_interval(values: NDArray[np.float64], images: NDArray[np.intp]) -> PairedInterval:
    """The mean difference in points with its clustered interval; NaN is left out."""
    known = ~np.isnan(values)
    mean = clustered_mean(values[known], images[known])
    interval = None if mean.low is None or mean.high is None else (100 * mean.low, 100 * mean.high)
    return PairedInterval(
        value=100 * mean.mean if mean.n else None,
        stderr=None if mean.stderr is None else 100 * mean.stderr,
        ci95=interval,
        n=mean.n,
        images=mean.clusters,
    )
