"""The shipped checkpoint reads, through vLLM's real engine on the CPU.

Greedy answers hardly vary, so the floors are the lower ends of the 95% intervals measured on these
very pages: a change that makes the model read worse fails here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.pixtral_nano.measure import (
    EVALUATION_SEED,
    Asking,
    greedy_agreement,
    module_of,
    samples_of,
    score,
)
from pixtrack.configs.loading import load_dataset, load_model
from pixtrack.configs.paths import PACKAGE_ROOT
from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.datasets.sample import rows

pytestmark = pytest.mark.engine

DIRECTORY = PACKAGE_ROOT / "configs/models/pixtral-nano"
IMAGES = 36
FLOOR = 87.5
"""Measured 93.3 (87.6 to 99.0) on these 134 questions."""
EXTRACTIVE_FLOOR = 92.8
"""Measured 97.1 (92.9 to 100) on these 70 questions."""
BLANK_CEILING = 25.0


@pytest.fixture(scope="module")
def asked_rows() -> list[RawRow]:
    return list(rows(IMAGES, EVALUATION_SEED))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pixtral-nano")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Asking]:
    with Asking(load_model("pixtral-nano"), DIRECTORY, folder) as asking:
        yield asking


@pytest.fixture(scope="module")
def answered(engine, asked_rows, folder):
    samples = samples_of(asked_rows, folder)
    return samples, engine.ask(samples)


def test_accuracy_is_above_its_floor_and_extractive_above_its_own(answered) -> None:
    samples, answers = answered
    assert len(samples) >= 40
    scored = score(samples, answers)
    headline = load_dataset("sample").headline
    assert scored.metrics[headline].value >= FLOOR
    assert scored.by["question_type"]["extractive"][headline].value >= EXTRACTIVE_FLOOR


def test_with_a_blank_page_it_cannot_answer(engine, asked_rows, folder) -> None:
    samples = samples_of(asked_rows, folder, "blank")
    scored = score(samples, engine.ask(samples))
    assert scored.metrics[load_dataset("sample").headline].value < BLANK_CEILING


def test_with_another_page_of_the_same_layout_it_answers_about_that_page(
    engine, answered, asked_rows, folder
) -> None:
    own = score(*answered).metrics[load_dataset("sample").headline].value
    samples = samples_of(asked_rows, folder, "other")
    other = score(samples, engine.ask(samples)).metrics[load_dataset("sample").headline].value
    assert other < 35 < own


def test_the_module_gives_vllms_greedy_answers(answered, folder) -> None:
    samples, answers = answered
    same = greedy_agreement(module_of(DIRECTORY), samples, answers, folder)
    assert sum(same) / len(same) >= 0.95
