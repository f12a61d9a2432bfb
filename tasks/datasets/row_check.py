"""The rule that decides whether a row can be asked, used when a dataset is prepared or added."""

from __future__ import annotations

from collections.abc import Sequence

from pixtrack.tasks.datasets.rows import RawRow


def row_problem(row: RawRow, images: Sequence[object | str]) -> str:
    """Why the row cannot be asked; "" where it can.

    A row without images can be asked, and one without golds too: it has no score.

    Args:
        row: the row
        images: for each of its images any object, or a string that says why the image is bad
    """
    if row.error:
        return row.error
    if not row.question.strip():
        return "the question is empty"
    for number, image in enumerate(images):
        if isinstance(image, str):
            name = row.image_names[number] if number < len(row.image_names) else ""
            return f"image {name or '(unnamed)'}: {image}"
    return ""
