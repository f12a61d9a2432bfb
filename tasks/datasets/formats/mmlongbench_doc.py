"""The row format `mmlongbench_doc`: a question on a document, whose gold has a format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.datasets.formats.base import items_of, label_of, text_of

NOWHERE = "not answerable"
"""The question type of a question that no page answers."""


def mmlongbench_doc(record: Mapping[str, Any]) -> dict[str, Any]:
    """One question with its gold unchanged: a list, or the text of one, is one gold.

    The question type says what holds the evidence (a table, a figure, …); in the source it is the
    text of a Python list.
    """
    answers = record.get("answers")
    if isinstance(answers, list | tuple):  # read as a list by whoever read the file
        items = [text_of(item, "gold answer") for item in answers]
        alone = len(items) == 1 and record.get("answer_type") != "List"
        answers = items[0] if alone else str(items)
    found = items_of(label_of(record.get("question_type"), "question type"))
    kinds = ", ".join(text_of(kind, "question type") for kind in found)
    return {
        "question": text_of(record.get("question"), "question"),
        "answers": () if answers is None else (text_of(answers, "gold answer"),),
        "question_type": kinds or NOWHERE,
    }
