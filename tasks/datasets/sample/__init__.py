"""The generated sample: invoices, forms, receipts, tables and charts, drawn by code.

A source of datasets like any other: `rows` yields what a hub file or an annotation file would.
Nothing but Pillow and the fonts that matplotlib carries is needed, no file and no network.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.datasets.sample.page import draw_page, page_random
from pixtrack.tasks.datasets.sample.questions import choose

GENERATOR_VERSION = 2
"""Raised whenever a page or a question of some seed changes by a byte."""

__all__ = ["GENERATOR_VERSION", "rows"]


def rows(images: int, seed: int) -> Iterator[RawRow]:
    """The rows of the sample dataset of that many images, image by image.

    The same to the byte for one GENERATOR_VERSION (and one version of Pillow, whose FreeType and
    zlib draw and pack); the first n images of a larger dataset are those of the smaller one.
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
