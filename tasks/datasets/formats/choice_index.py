"""The row format `choice_index`: options, and the position of the right one (AI2D)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.datasets.formats.base import BadField, letter, options_of, shown, text_of


def choice_index(record: Mapping[str, Any]) -> dict[str, Any]:
    """One question with options; its gold is the position of the right one, from 0.

    The gold becomes that option's letter. Raises BadField for a gold that is no position of an
    option.
    """
    options = options_of(record.get("options"))
    golds: tuple[str, ...] = ()
    if record.get("answers") is not None:
        position = text_of(record["answers"], "gold answer").strip()
        if not position.isdecimal() or int(position) >= len(options):
            raise BadField(
                f"the gold answer is {shown(position)!r}: expected the position of one of"
                f" {len(options)} options, from 0"
            )
        golds = (letter(int(position)),)
    return {
        "question": text_of(record.get("question"), "question"),
        "answers": golds,
        "options": options,
    }
