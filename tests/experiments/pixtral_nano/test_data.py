"""Training pages never show what the evaluation asks about."""

import hashlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments.pixtral_nano.data import (
    VALIDATION_SEED,
    DataConfig,
    letters,
    pack,
    training_item,
)
from experiments.pixtral_nano.measure import EVALUATION_SEED
from pixtrack.tasks.datasets.sample.layouts import LAYOUTS
from pixtrack.tasks.datasets.sample.page import draw_page
from pixtrack.tasks.datasets.sample.words import (
    COMPANY_FIRST,
    COMPANY_SECOND,
    MEASURE_KINDS,
    MEASURES,
    is_held_out,
)

HELD_OUT_NAMES = {
    f"{first} {second}"
    for firsts, seconds in ((COMPANY_FIRST, COMPANY_SECOND), (MEASURE_KINDS, MEASURES))
    for i, first in enumerate(firsts)
    for j, second in enumerate(seconds)
    if is_held_out(i, j)
}


def shown(page: Any) -> Any:
    return hashlib.sha256(page.image.tobytes()).hexdigest()


def test_no_image_and_no_full_text_of_the_evaluation_is_in_training() -> None:
    evaluation = [draw_page(EVALUATION_SEED, index) for index in range(300)]
    images = {shown(page) for page in evaluation}
    texts = {page.full_text() for page in evaluation}
    seed = DataConfig().seed
    for index in range(1500):
        page = draw_page(seed, index, held_out=False, layout=list(LAYOUTS)[index % 6])
        assert shown(page) not in images
        assert page.full_text() not in texts


def test_every_evaluation_page_has_a_name_that_training_cannot_draw() -> None:
    """Not a matter of luck: each page carries a combination that the training half excludes."""
    for index in range(300):
        names = {run.text for run in draw_page(EVALUATION_SEED, index).runs}
        assert names & HELD_OUT_NAMES
        names = {run.text for run in draw_page(1, index, held_out=False).runs}
        assert not names & HELD_OUT_NAMES


def test_training_validation_and_evaluation_have_seeds_of_their_own() -> None:
    assert len({DataConfig().seed, VALIDATION_SEED, EVALUATION_SEED}) == 3


def test_a_training_image_is_the_same_whenever_it_is_drawn(tokenizer) -> None:
    config = DataConfig()
    first = training_item(config, tokenizer, 7, "table")
    again = training_item(config, tokenizer, 7, "table")
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_letters_name_the_patch_in_which_a_character_stands() -> None:
    page = draw_page(4, 3, layout="table")
    labels = letters(page)
    columns = page.image.width // 16
    run = page.runs[0]
    for character, x, y in run.characters():
        slot = labels[int(y) // 16 * columns + int(x) // 16, int(x) % 16 // 4]
        assert character == " " or chr(slot + 32) == character


def test_an_image_that_is_too_large_is_refused(tokenizer) -> None:
    with pytest.raises(ValueError, match="640x640"):
        pack(Image.new("RGB", (640, 640)), [], tokenizer)
