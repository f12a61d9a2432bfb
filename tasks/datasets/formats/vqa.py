"""The row format `vqa`: one question and its annotators' answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.datasets.formats.base import listed, options_of, text_of


def vqa(record: Mapping[str, Any]) -> dict[str, Any]:
    """One question; its golds are the annotators' answers, as strings or as {"answer": …}."""
    golds = [
        gold.get("answer") if isinstance(gold, Mapping) else gold
        for gold in listed(record.get("answers"))
    ]
    return {
        "question": text_of(record.get("question"), "question"),
        "answers": tuple(text_of(gold, "gold answer") for gold in golds),
        "options": options_of(record.get("options")),
    }
