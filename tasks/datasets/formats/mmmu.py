"""The row format `mmmu`: a question with options whose gold is a letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.datasets.formats.base import items_of, listed, options_of, text_of


def mmmu(record: Mapping[str, Any]) -> dict[str, Any]:
    """A question with options, whose gold is a letter; without options, one or several golds.

    Options and golds are lists, or the text of a Python list ("['$6', '$7']"), as the hub has them.
    """
    answers = [gold for value in listed(record.get("answers")) for gold in items_of(value)]
    return {
        "question": text_of(record.get("question") or "", "question"),
        "answers": tuple(text_of(gold, "gold answer") for gold in answers),
        "options": options_of(record.get("options")),
    }
