"""The row format `conversation`: turns of a user with their answers; the last question is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.datasets.formats.base import BadField, listed, options_of, text_of
from pixtrack.tasks.records import Turn


def conversation(record: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation whose last question is asked; the turns before it are its history.

    Raises BadField unless there are as many questions as answers, or one more; with one more the
    asked question has no gold.
    """
    questions = [text_of(turn, "question") for turn in listed(record.get("question"))]
    golds = [text_of(gold, "gold answer") for gold in listed(record.get("answers"))]
    if not questions:
        raise BadField("the question is empty")
    if len(golds) not in (len(questions), len(questions) - 1):
        raise BadField(f"{len(questions)} questions but {len(golds)} gold answers")
    earlier = len(questions) - 1
    return {
        "question": questions[-1],
        "answers": tuple(golds[earlier:]),
        "history": tuple(map(Turn, questions[:earlier], golds[:earlier])),
        "options": options_of(record.get("options")),
    }
