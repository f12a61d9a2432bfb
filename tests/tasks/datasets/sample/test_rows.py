"""The generated sample keeps its promises: deterministic, large enough, kinds and answers as the real datasets'."""

import io
from collections import Counter
from itertools import islice

import pytest
from PIL import Image

from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.datasets.sample import rows
from pixtrack.tasks.datasets.sample.canvas import text_width
from pixtrack.tasks.datasets.sample.layouts import LAYOUTS
from pixtrack.tasks.datasets.sample.page import draw_page
from pixtrack.tasks.datasets.sample.questions import KINDS
from tests.doubles.patience import processor_at_most


@pytest.fixture(scope="module")
def default() -> list[RawRow]:
    return list(rows(72, 2024))


def test_default_size_has_enough_images_and_questions_and_is_quick() -> None:
    with processor_at_most(30):
        made = list(rows(72, 2024))
    assert len({row.images[0] for row in made}) == 72
    assert len(made) >= 250


def test_two_generations_are_equal_to_the_byte(default: list[RawRow]) -> None:
    assert list(rows(72, 2024)) == default


def test_another_seed_gives_other_pages(default: list[RawRow]) -> None:
    other = {row.images[0] for row in rows(12, 7)}
    assert not other & {row.images[0] for row in default}


def test_a_larger_dataset_begins_with_the_smaller_one(default: list[RawRow]) -> None:
    assert list(islice(rows(5000, 2024), len(default))) == default


def test_each_image_has_two_to_six_different_questions(default: list[RawRow]) -> None:
    by_image: dict[str, list[str]] = {}
    for row in default:
        by_image.setdefault(row.image_names[0], []).append(row.question)
    assert all(2 <= len(set(asked)) == len(asked) <= 6 for asked in by_image.values())


def test_every_kind_and_every_answer_layout_is_there(default: list[RawRow]) -> None:
    kinds = Counter(row.question_type for row in default)
    assert set(kinds) == set(KINDS) and min(kinds.values()) >= 30
    types = Counter(row.answer_type for row in default)
    assert min(types[name] for name in ("text", "number", "amount", "date", "yes/no")) >= 5
    assert types["unanswerable"] >= 5
    assert any(len(row.answers) == 10 for row in default)  # ten annotators
    assert any(1 < len(row.answers) < 10 for row in default)  # several spellings
    assert any("%" in row.answers[0] for row in default)


def test_images_are_whole_patches_of_at_most_512_pixels(default: list[RawRow]) -> None:
    for row in default:
        (image,) = row.images
        assert isinstance(image, bytes)
        width, height = Image.open(io.BytesIO(image)).size
        assert width % 16 == 0 and height % 16 == 0 and max(width, height) <= 512


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_extractive_answers_are_written_on_the_page_and_texts_lie_within_it(layout) -> None:
    for index in range(40):
        page = draw_page(11, index, layout=layout)
        text = page.full_text()
        for question in page.questions:
            if question.answer_type not in ("yes/no", "unanswerable") and (
                question.kind == "extractive" and "unit" not in question.text
            ):
                # A chart may leave the value to be read off the axis.
                on_axis = layout.endswith("chart") and question.answer_type == "number"
                assert on_axis or question.answers[0] in text, question
        for run in page.runs:
            assert run.x >= 0 and run.baseline <= page.image.height
            assert run.x + text_width(run.text, run.face, run.size) <= page.image.width, run


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_no_question_has_two_answers(layout) -> None:
    for index in range(20):
        page = draw_page(12, index, layout=layout)
        assert len({question.text for question in page.questions}) == len(page.questions)


def test_sums_follow_from_the_values_that_the_page_answers() -> None:
    for index in range(40):
        page = draw_page(13, index, layout="table")
        value = {q.text: int(q.answers[0]) for q in page.questions if q.answer_type == "number"}
        for text, answer in value.items():
            if text.startswith("What is the sum of") and " for " not in text:
                pair, column = (
                    text.removeprefix("What is the sum of ").removesuffix("?").split(" in ")
                )
                parts = [
                    value[f"What is the value of {name} in {column}?"]
                    for name in pair.split(" and ")
                ]
                assert answer == sum(parts)


def test_training_pages_share_no_name_with_evaluation_pages() -> None:
    def titles(held_out: bool, seed: int) -> set[str]:
        return {
            question.answers[0]
            for index in range(120)
            for question in draw_page(seed, index, held_out=held_out).questions
            if question.text.startswith(
                ("What is the title of the chart", "What is the name of the")
            )
        }

    assert not titles(True, 2024) & titles(False, 1)
