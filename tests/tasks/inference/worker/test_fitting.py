"""Prompts that are too long: refused, or with fewer pages, as the dataset's file says."""

from collections.abc import Sequence
from typing import Any

import pytest

from pixtrack.tasks.inference.engines.base import RequestRefused
from pixtrack.tasks.inference.worker.fitting import TEXT_STEP, fitting_draft
from pixtrack.tasks.records import ImageRef, Request
from tests.doubles.recording_engine import PlainBuilder

PAGES = tuple(ImageRef(f"page{n}", f"/{n}.png", 40, 30) for n in range(1, 11))
"""Of 100 tokens each."""


def fitted(
    longest: int | None,
    rule: str = "first",
    pages: Sequence[ImageRef] = PAGES,
    text: str = "q" * 50,
    answer_tokens: int = 20,
    **changes: Any,
) -> Request:
    request = Request(0, tuple(pages), (text,), pages=rule, **changes)
    draft = fitting_draft(request, PlainBuilder(), longest, answer_tokens)
    return draft.request


def shown(request: Request) -> list[int]:
    return [int(image.sha256.removeprefix("page")) for image in request.images]


@pytest.mark.parametrize("longest", [None, 100_000, 1052 + 20])
def test_what_fits_with_its_answer_shows_every_page(longest) -> None:
    request = fitted(longest)
    assert shown(request) == list(range(1, 11)) and request.left_out == 0


@pytest.mark.parametrize(
    ("rule", "longest", "pages"),
    [
        # 52 tokens of text count as 256; 20 are for the answer.
        ("first", 1071, [1, 2, 3, 4, 5, 6, 7]),
        ("first", 256 + 20 + 400, [1, 2, 3, 4]),
        ("first", 256 + 20 + 399, [1, 2, 3]),
        ("even", 256 + 20 + 400, [1, 4, 7, 10]),
        ("even", 256 + 20 + 300, [1, 5, 10]),
        ("even", 200, [1]),
    ],
)
def test_of_what_does_not_fit_as_many_pages_are_shown_as_do(rule, longest, pages) -> None:
    request = fitted(longest, rule)
    assert shown(request) == pages
    assert request.left_out == 10 - len(pages)


def test_questions_of_about_the_same_length_show_the_same_pages() -> None:
    lengths = {len(shown(fitted(800, text="q" * length))) for length in range(1, TEXT_STEP - 2, 25)}
    assert len(lengths) == 1


def test_what_was_left_out_before_counts_too() -> None:
    assert fitted(256 + 20 + 400, left_out=30).left_out == 36


def test_an_image_that_a_text_mentions_stays_where_it_stands() -> None:
    parts = ((*[None] * 9, "see ", None, "q" * 50),)
    request = fitted(256 + 20 + 500, parts=parts)
    # The mentioned image's 100 tokens count with the text.
    assert shown(request) == [1, 2, 3, 4, 5, 10]
    assert request.layout == ((*[None] * 5, "see ", None, "q" * 50),)


@pytest.mark.parametrize(
    ("rule", "pages", "text", "words"),
    [
        ("", PAGES, "q", "1,003 tokens (1,000 of them for the 10 images) does not fit"),
        ("", PAGES[:1], "q" * 1000, "1,102 tokens (100 of them for the image) does not fit"),
        ("first", PAGES, "q" * 1000, "1,102 tokens (100 of them for the image) does not fit"),
        ("even", (), "q" * 1000, "(0 of them for the 0 images)"),
    ],
)
def test_what_no_rule_can_make_fit_is_refused(rule, pages, text, words) -> None:
    with pytest.raises(RequestRefused) as refusal:
        fitted(1000, rule, pages=pages, text=text)
    assert words in str(refusal.value)
    assert "max_model_len 1,000" in str(refusal.value)


def test_the_images_of_worked_examples_are_no_pages() -> None:
    shot = ImageRef("page99", "/s.png", 40, 30)
    request = Request(
        0, (shot, *PAGES), ("example", "answer", "q" * 50), pages="first", shots=2,
        parts=((None, "example"), ("answer",), (*(None for _ in PAGES), "q" * 50)),
    )  # fmt: skip
    found = fitting_draft(request, PlainBuilder(), 256 + 20 + 100 + 400, 20).request
    assert shown(found)[0] == 99 and 1 < len(found.images) < 11
    assert found.layout[:2] == request.layout[:2]
    assert found.layout[2] == (*(None for _ in found.images[1:]), "q" * 50)
    assert found.left_out == 11 - len(found.images)
