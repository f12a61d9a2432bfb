"""Makes a row of a record of a source (a JSON object, a parquet row).

Never raises for a bad record: the reason becomes the row's error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixtrack.tasks.datasets.formats import BadField, format_of
from pixtrack.tasks.datasets.formats.base import label_of, shown
from pixtrack.tasks.datasets.rows import RawImage, RawRow

FIELDS = {
    "question": "what is asked; a list of turns in row_format chartqapro",
    "answers": "the golds: one, several accepted ones, or the annotators' (row_format vqa)",
    "image": "file name under the image folder (annotations) or the image's bytes (hub); or a list",
    "cluster": "what makes questions dependent (a document's name); default: the images",
    "question_id": "the source's own id",
    "question_type": "a kind of question to break scores down by",
    "answer_type": "a kind of answer to break scores down by",
    "context": "a paragraph that belongs to the question",
    "flags": "ChartQAPro's Year flags, one a turn",
    "options": "the options of a multiple-choice question: a list, or the text of a Python list",
    "precision": "digits behind the point that the answer has (row_format mathvista)",
    "unit": "the unit of the answer (row_format mathvista)",
}
"""The field names that a source's `columns` may have, and what each holds."""

REQUIRED = ("question", "image")
REQUIRED_TO_SCORE = {
    "mmmu": ("answers",),
    "mmmu_pro_vision": ("answers",),
    "mathvista": ("answers",),
}
"""Row format to the fields that scoring needs, where that is less than ("question", "answers"):
the questions of MMMU-Pro's vision half stand in the images."""


def required_fields(row_format: str) -> tuple[str, ...]:
    """The fields that a source must have a column for, so that its rows can be asked."""
    return ("image",) if row_format == "mmmu_pro_vision" else REQUIRED


def to_row(
    row_format: str,
    index: int,
    record: Mapping[str, Any],
    images: Sequence[RawImage] = (),
    image_names: Sequence[str] = (),
    error: str = "",
) -> RawRow:
    """Makes the row for one record.

    Args:
        row_format: a name in formats.FORMATS
        index: the row's number, from 0
        record: the values by our field names (FIELDS)
        images: the row's images
        image_names: what the source calls them
        error: why the row is bad, where that is known already
    """
    values: dict[str, Any] = {}
    try:
        values = format_of(row_format)(record)
    except BadField as problem:
        error = error or str(problem)
        values = {"question": shown(record.get("question"))}
    for name in ("question_id", "question_type", "answer_type", "context", "cluster"):
        if name in values:
            continue
        try:
            values[name] = label_of(record.get(name), name)
        except BadField as problem:
            error = error or str(problem)
    most = values.pop("images", None)
    if most is not None and images and most > len(images):
        error = error or f"<image {most}> is mentioned, and there are {len(images)} images"
    values = {"question_id": "", "question": "", "answers": (), **values}
    return RawRow(
        index=index,
        images=tuple(images)[:most],
        image_names=tuple(image_names)[:most],
        error=error,
        **values,
    )
