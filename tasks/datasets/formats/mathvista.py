"""The row format `mathvista`: choices, or an answer of a type, unit and precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.datasets.formats.base import label_of, options_of
from pixtrack.tasks.datasets.formats.plain import plain


def mathvista(record: Mapping[str, Any]) -> dict[str, Any]:
    """A question whose gold is a choice's text, or an answer of a type, unit and precision.

    The choices are part of the question (the column `query`) and are not shown a second time.
    """
    details = [(name, label_of(record.get(name), name)) for name in ("precision", "unit")]
    return {
        **plain({"question": "", **record}),
        "options": options_of(record.get("options")),
        "details": (
            ("gold", "text"),
            ("options", "in the question"),
            *((name, value) for name, value in details if value),
        ),
    }
