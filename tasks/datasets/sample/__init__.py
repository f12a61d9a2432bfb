"""The generated sample: invoices, forms, receipts, tables and charts, drawn by code.

`rows` yields rows like those of a hub file or an annotation file. It needs Pillow and the fonts in
matplotlib, but no files and no network.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.datasets.sample.page import draw_page, page_random
from pixtrack.tasks.datasets.sample.questions import choose

GENERATOR_VERSION = 2
"""Increased when a page or a question of any seed changes by a byte."""

__all__ = ["GENERATOR_VERSION", "rows"]


def rows(images: int, seed: int) -> Iterator[RawRow]:
    """The rows of the sample dataset with that many images, image by image.

    They are the same to the byte for one GENERATOR_VERSION and one version of Pillow, whose
    FreeType and zlib draw and compress. A larger dataset begins with the images of a smaller one.
    """
    row = 0
    for index in range(images):
        page = draw_page(seed, index)
        png = io.BytesIO()
        page.image.save(png, "PNG", compress_level=6)
        name = f"{page.layout.replace(' ', '_')}_{index:05d}.png"
        chosen = choose(page_random(seed, index, "questions"), page.questions)
        for number, question in enumerate(chosen):
            yield RawRow(
                index=row,
                question_id=f"{seed}-{index}-{number}",
                question=question.text,
                answers=question.answers,
                images=(png.getvalue(),),
                image_names=(name,),
                question_type=question.kind,
                answer_type=question.answer_type,
            )
            row += 1
