"""What makes a row one that can be asked: the same rule for preparing and for adding a dataset."""

from __future__ import annotations

from collections.abc import Sequence

from pixtrack.tasks.datasets.rows import RawRow


def row_problem(row: RawRow, images: Sequence[object | str]) -> str:
    """Why the row cannot be asked, "" where it can.

    `images`: what is known of each of its images, a string where one is bad. A row without golds
    can be asked, and has no score; so can one without images.
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
