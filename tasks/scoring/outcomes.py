"""How a question ended, in a word: what answers are listed and filtered by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

OUTCOMES = ("failed", "wrong", "truncated", "partly", "unscored", "right")


def outcome_of_row(row: Mapping[Any, Any], metric: str) -> str:
    """One of OUTCOMES for a row of scores.parquet, by that metric's column.

    `failed`: there is no output. `unscored`: no gold is published, or the metric leaves the row
    out. `truncated`: wrong or partly right, and cut off at the output limit.
    """
    if row["error"] or row["finish_reason"] in ("refused", "error"):
        return "failed"
    score = row.get(metric)
    if score is None or pd.isna(score):
        return "unscored"
    if score >= 1:
        return "right"
    if row["finish_reason"] == "length":
        return "truncated"
    return "partly" if score > 0 else "wrong"
