"""The row format `plain`: one question, and one gold or a list of accepted ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.datasets.formats.base import listed, options_of, text_of


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """One question; its gold is a string or number, or a list of accepted ones."""
    golds = listed(record.get("answers"))
    return {
        "question": text_of(record.get("question"), "question"),
        "answers": tuple(text_of(gold, "gold answer") for gold in golds),
        "options": options_of(record.get("options")),
    }
