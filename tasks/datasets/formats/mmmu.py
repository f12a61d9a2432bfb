"""The row format `mmmu`: a question with options whose gold is a letter (MMMU, MMMU-Pro)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.datasets.formats.base import (
    items_of,
    label_of,
    listed,
    options_of,
    text_of,
)

_MARK = re.compile(r"<image (\d{1,4})>")
_SUBJECT = re.compile(r"(?:dev|validation|test)_(.+)_\d+")


def mmmu(record: Mapping[str, Any]) -> dict[str, Any]:
    """A question with options, whose gold is a letter; without options, one or several golds.

    Options and golds are lists, or the text of a Python list ("['$6', '$7']"), as the hub has them.
    Images after the last one that the question or an option mentions are not shown, as in the
    published code. A record without a question type gets the subject in its id (validation_Art_3).
    """
    answers = [gold for value in listed(record.get("answers")) for gold in items_of(value)]
    question = text_of(record.get("question") or "", "question")
    options = options_of(record.get("options"))
    marks = [int(mark) for mark in _MARK.findall("\n".join((question, *options)))]
    values: dict[str, Any] = {
        "question": question,
        "answers": tuple(text_of(gold, "gold answer") for gold in answers),
        "options": options,
        "images": max(marks) if marks else None,
    }
    subject = _SUBJECT.fullmatch(label_of(record.get("question_id"), "question id"))
    if subject and not record.get("question_type"):
        values["question_type"] = subject[1]
    return values
