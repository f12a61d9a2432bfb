"""The shipped checkpoint reads, through vLLM's real engine on the CPU.

Greedy answers hardly vary, so the floors are the lower ends of the 95% intervals measured on these
very pages: a change that makes the model read worse fails here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
from pixtrack.tasks.runs.directory import Interval

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
def answered(engine: Asking, asked_rows: list[RawRow], folder: Path) -> Any:
    samples = samples_of(asked_rows, folder)
    return samples, engine.ask(samples)


def accuracy(metrics: Mapping[str, Interval]) -> float:
    value = metrics[load_dataset("sample").headline].value
    assert value is not None
    return value


def test_accuracy_is_above_its_floor_and_extractive_above_its_own(answered: Any) -> None:
    samples, answers = answered
    assert len(samples) >= 40
    scored = score(samples, answers)
    assert accuracy(scored.metrics) >= FLOOR
    assert accuracy(scored.by["question_type"]["extractive"]) >= EXTRACTIVE_FLOOR


def test_with_a_blank_page_it_cannot_answer(
    engine: Asking, asked_rows: list[RawRow], folder: Path
) -> None:
    samples = samples_of(asked_rows, folder, "blank")
    scored = score(samples, engine.ask(samples))
    assert accuracy(scored.metrics) < BLANK_CEILING


def test_with_another_page_of_the_same_layout_it_answers_about_that_page(
    engine: Asking, answered: Any, asked_rows: list[RawRow], folder: Path
) -> None:
    own = accuracy(score(*answered).metrics)
    samples = samples_of(asked_rows, folder, "other")
    other = accuracy(score(samples, engine.ask(samples)).metrics)
    assert other < 35 < own


def test_the_module_gives_vllms_greedy_answers(answered: Any, folder: Path) -> None:
    samples, answers = answered
    same = greedy_agreement(module_of(DIRECTORY), samples, answers, folder)
    assert sum(same) / len(same) >= 0.95
