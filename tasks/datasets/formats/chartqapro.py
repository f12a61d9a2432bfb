"""The row format `chartqapro`: ChartQAPro's conversations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.datasets.formats.base import BadField, listed, text_of
from pixtrack.tasks.records import Turn


def chartqapro(record: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation: the last turn is asked, the earlier ones are its history with their golds.

    The gold is kept as it stands, the text `nan` of one row too: the official evaluator compares
    the prediction with that text (float("nan") parses, and no number is within 5% of it, so only
    a prediction that fails to parse can score, by ANLS against "nan").
    """
    questions = [text_of(turn, "question") for turn in listed(record.get("question"))]
    golds = [text_of(gold, "gold answer") for gold in listed(record.get("answers"))]
    if len(questions) != len(golds):
        raise BadField(f"{len(questions)} questions but {len(golds)} gold answers")
    if not questions:
        raise BadField("the question is empty")
    return {
        "question": questions[-1],
        "answers": (golds[-1],),
        "history": tuple(map(Turn, questions[:-1], golds[:-1])),
        "flags": tuple(text_of(flag, "flag") for flag in listed(record.get("flags"))),
    }
