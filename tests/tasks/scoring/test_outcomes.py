"""A question's outcome in a word."""

from __future__ import annotations

import pytest

from pixtrack.tasks.scoring.outcomes import OUTCOMES, outcome_of_row


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        ({"anls": 1.0}, "right"),
        ({"anls": 1.0, "finish_reason": "length"}, "right"),
        ({"anls": 0.5}, "partly"),
        ({"anls": 0.0}, "wrong"),
        ({"anls": 0.5, "finish_reason": "length"}, "truncated"),
        ({"anls": float("nan")}, "unscored"),
        ({"anls": None, "finish_reason": "length"}, "unscored"),
        ({}, "unscored"),
        ({"anls": float("nan"), "error": "too long"}, "failed"),
        ({"anls": 0.0, "finish_reason": "refused"}, "failed"),
        ({"finish_reason": "error"}, "failed"),
    ],
)
def test_a_row_has_one_outcome(row: dict[str, object], outcome: str) -> None:
    assert outcome_of_row({"error": "", "finish_reason": "stop"} | row, "anls") == outcome
    assert outcome in OUTCOMES
