"""From a record of a source (a JSON object, a parquet row) to the fields of a row.

One function a row format; each takes the record by our field names and never raises: what is
wrong with a record becomes the row's error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.literals import read_list
from pixtrack.tasks.records import Turn

FIELDS = {
    "question": "what is asked; a list of turns in row_format chartqapro",
    "answers": "the golds: one, several accepted ones, or the annotators' (row_format vqa)",
    "image": "file name under the image folder (annotations), or the image's bytes (hub)",
    "question_id": "the source's own id",
    "question_type": "a kind of question to break scores down by",
    "answer_type": "a kind of answer to break scores down by",
    "context": "a paragraph that belongs to the question",
    "flags": "ChartQAPro's Year flags, one a turn",
    "options": "the options of a multiple-choice question: a list, or the text of a Python list",
    "precision": "digits behind the point that the answer has (row_format mathvista)",
    "unit": "the unit of the answer (row_format mathvista)",
}
"""The keys of a source's `columns`, with what their columns hold."""

REQUIRED = ("question", "answers", "image")
REQUIRED_TO_SCORE = {"mmmu": ("answers",), "mathvista": ("answers",)}
"""Row format to the fields that scoring needs, where that is less than ("question", "answers"):
the questions of MMMU-Pro's vision half stand in the images."""


class BadField(ValueError):
    """A record's field cannot be used; the message says which and why."""


def to_row(
    row_format: str,
    index: int,
    record: Mapping[str, Any],
    image: bytes | Path | None,
    image_name: str,
    error: str = "",
) -> RawRow:
    """The row for one record, keyed by our field names (FIELDS); `error`: known already."""
    values: dict[str, Any] = {}
    try:
        values = _FORMATS[row_format](record)
    except BadField as problem:
        error = error or str(problem)
        values = {"question": _shown(record.get("question"))}
    for name in ("question_id", "question_type", "answer_type", "context"):
        try:
            values[name] = _label(record.get(name), name)
        except BadField as problem:
            error = error or str(problem)
    values = {"question": "", "answers": (), **values}
    return RawRow(index=index, image=image, image_name=image_name, error=error, **values)


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """One question; its gold is a string or number, or a list of accepted ones."""
    golds = _list(record.get("answers"))
    return {
        "question": _text(record.get("question"), "question"),
        "answers": tuple(_text(gold, "gold answer") for gold in golds),
    }


def _vqa(record: Mapping[str, Any]) -> dict[str, Any]:
    """One question; its golds are the annotators' answers, as strings or as {"answer": …}."""
    golds = [
        gold.get("answer") if isinstance(gold, Mapping) else gold
        for gold in _list(record.get("answers"))
    ]
    return {
        "question": _text(record.get("question"), "question"),
        "answers": tuple(_text(gold, "gold answer") for gold in golds),
    }


def _chartqapro(record: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation: the last turn is asked, the earlier ones are its history with their golds.

    The gold is kept as it stands, the text `nan` of one row too: the official evaluator compares
    the prediction with that text (float("nan") parses, and no number is within 5% of it, so only
    a prediction that fails to parse can score, by ANLS against "nan").
    """
    questions = [_text(turn, "question") for turn in _list(record.get("question"))]
    golds = [_text(gold, "gold answer") for gold in _list(record.get("answers"))]
    if len(questions) != len(golds):
        raise BadField(f"{len(questions)} questions but {len(golds)} gold answers")
    if not questions:
        raise BadField("the question is empty")
    return {
        "question": questions[-1],
        "answers": (golds[-1],),
        "history": tuple(map(Turn, questions[:-1], golds[:-1])),
        "flags": tuple(_text(flag, "flag") for flag in _list(record.get("flags"))),
    }


def _mmmu(record: Mapping[str, Any]) -> dict[str, Any]:
    """A question with options, whose gold is a letter; without options, one or several golds.

    Options and golds are lists, or the text of a Python list ("['$6', '$7']"), as the hub has them.
    """
    answers = [gold for value in _list(record.get("answers")) for gold in _items(value)]
    return {
        "question": _text(record.get("question") or "", "question"),
        "answers": tuple(_text(gold, "gold answer") for gold in answers),
        "options": _options(record.get("options")),
    }


def _mathvista(record: Mapping[str, Any]) -> dict[str, Any]:
    """A question whose gold is a choice's text, or an answer of a type, unit and precision."""
    details = [(name, _label(record.get(name), name)) for name in ("precision", "unit")]
    return {
        **_plain({"question": "", **record}),
        "options": _options(record.get("options")),
        "details": (("gold", "text"), *((name, value) for name, value in details if value)),
    }


def _options(value: Any) -> tuple[str, ...]:
    parts = _list(value) if not isinstance(value, str) else _items(value)
    return tuple(_text(option, "option") for option in parts)


def _items(value: Any) -> list[Any]:
    """The items of a list's text, else the value alone."""
    items = read_list(value) if isinstance(value, str) and value.startswith("[") else None
    return [value] if items is None else list(items)


_FORMATS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "plain": _plain,
    "vqa": _vqa,
    "chartqapro": _chartqapro,
    "mmmu": _mmmu,
    "mathvista": _mathvista,
}


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value: Any, what: str) -> str:
    """A string as it stands, a number as Python writes it; anything else is refused."""
    if value is None:
        raise BadField(f"the {what} is missing")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadField(f"the {what} is {value}, not a value")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadField(f"the {what} is {_shown(value)!r}: expected text or a number")
    text = str(value)
    if not _encodes(text):
        raise BadField(f"the {what} is not valid Unicode: {_shown(text)!r}")
    return text


def _label(value: Any, what: str) -> str:
    """An optional field as one string; a list of kinds is joined by commas."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(_text(part, what) for part in value)
    return _text(value, what)


def _shown(value: Any) -> str:
    """Something to recognise a bad value by, safe to store."""
    text = "" if value is None else str(value)
    return text.encode("utf-8", "replace").decode()[:200]


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True
