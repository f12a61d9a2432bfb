"""What makes a row one that can be asked: the same rule for preparing and for adding a dataset."""

from __future__ import annotations

from pixtrack.tasks.datasets.rows import RawRow


def row_problem(row: RawRow, image: object | str | None) -> str:
    """Why the row cannot be asked, "" where it can.

    `image`: what is known of its image, a string where the image is bad, None where there is none.
    """
    if row.error:
        return row.error
    if not row.question.strip():
        return "the question is empty"
    if not row.answers:
        return "there is no gold answer"
    if image is None:
        return "there is no image"
    if isinstance(image, str):
        return f"image {row.image_name or '(unnamed)'}: {image}"
    return ""
