"""Comparing runs without golds, on several images a question, and by document."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.comparison.compare import compare
from pixtrack.tasks.comparison.report.gallery import (
    IMAGES_OF_A_QUESTION,
    build_gallery,
    by_interest,
)
from pixtrack.tasks.comparison.report.page import render
from pixtrack.tasks.comparison.result import Comparison
from pixtrack.tasks.comparison.result_tables import markdown
from pixtrack.tasks.comparison.verdict import plural, scope_words
from tests.doubles.synthetic_runs import DatasetFactory


def compared(home: Home, **changes: Any) -> Comparison:
    settings: dict[str, Any] = {"name": "my_documents", "questions": 40, "images": 12, "pages": 3}
    dataset = DatasetFactory(home, **settings | changes)
    runs = [dataset.run("alpha"), dataset.run("beta", skill=1.0, seed=2, failed=[3])]
    return compare(runs)


def test_runs_without_golds_are_compared_by_what_they_answer(tmp_path: Path) -> None:
    comparison = compared(Home(tmp_path), published=False)
    (dataset,) = comparison.datasets
    (pair,) = dataset.differences
    assert pair.outcome == "not scored" and pair.p is None and pair.n == 0
    assert pair.answered == 39 and pair.same_prediction is not None
    assert "whose golds are not published; the same answer on" in comparison.verdict
    assert f"{pair.same_prediction:.1%} of the 39 questions" in comparison.verdict
    assert all(run.score.value is None for run in dataset.runs)
    assert comparison.comparisons == 0
    text = markdown(comparison)
    assert "+0.0" not in text and "0.0 (" not in text


def test_a_failure_is_not_scored_zero_where_there_is_no_gold(tmp_path: Path) -> None:
    dataset = DatasetFactory(Home(tmp_path), name="d", questions=10, pages=2, published=False)
    runs = [dataset.run("alpha", failed=[1, 2]), dataset.run("beta", failed=[2, 3])]
    (found,) = compare(runs, failed="zero").datasets
    assert all(run.score.n == 0 for run in found.runs)
    assert found.differences[0].outcome == "not scored"
    assert found.differences[0].answered == 7


def test_runs_that_failed_everywhere_are_not_called_unpublished(tmp_path: Path) -> None:
    dataset = DatasetFactory(Home(tmp_path), name="d", questions=4, pages=2)
    runs = [dataset.run("alpha", failed=range(4)), dataset.run("beta", seed=3)]
    comparison = compare(runs)
    assert comparison.datasets[0].differences[0].outcome == "not comparable"
    assert "golds" not in comparison.verdict


def test_the_answers_that_differ_come_first_where_there_is_no_gold(tmp_path: Path) -> None:
    comparison = compared(Home(tmp_path), published=False)
    questions = comparison.questions("my_documents")
    first, second = (table["prediction"].tolist() for table in questions.answers.values())
    differ = [row for row in range(40) if first[row] != second[row]]
    assert 0 < len(differ) < 40
    assert by_interest(questions)[: len(differ)] == differ


@pytest.mark.parametrize("published", [True, False])
def test_the_page_shows_every_image_and_option_of_a_question(
    tmp_path: Path, published: bool
) -> None:
    home = Home(tmp_path)
    options = ("<b>red</b>", "blue")
    comparison = compared(home, published=published, options=options, pages=10)
    gallery = build_gallery(comparison, home.images, 8_000_000, 200)
    data = json.loads(gallery.data)["datasets"][0]
    assert {len(paths) for paths in data["path"]} == {IMAGES_OF_A_QUESTION}
    assert {len(numbers) for numbers in data["image"]} == {IMAGES_OF_A_QUESTION}
    assert set(data["more"]) == {2}
    assert data["options"][0] == ["A. <b>red</b>", "B. blue"]
    assert gallery.with_image == 40
    assert all(number >= 0 for numbers in data["image"] for number in numbers)
    page = render(comparison, gallery)
    assert "<b>red</b>" not in page
    # Nothing is right or wrong: no matrix of it.
    assert ('id="agreement"' in page) == published
    assert ('id="breakdowns"' in page) == published


def test_a_run_of_before_there_were_several_images_is_shown_as_it_was(tmp_path: Path) -> None:
    home = Home(tmp_path)
    comparison = compared(home, pages=0)
    gallery = build_gallery(comparison, home.images, 8_000_000, 200)
    data = json.loads(gallery.data)["datasets"][0]
    assert {len(paths) for paths in data["path"]} == {1}
    assert data["options"] == [[]] * 40 and set(data["more"]) == {0}


def test_clusters_are_called_by_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pixtrack.configs.schema import DatasetConfig

    config = DatasetConfig.model_validate(
        {
            "name": "my_documents", "title": "My documents", "source": {"kind": "sample"},
            "metrics": ("anls",), "headline": "anls", "prompt": "plain", "licence": "none",
            "cluster": "document",
        }
    )  # fmt: skip
    for place in ("compare", "standings"):
        module = importlib.import_module(f"pixtrack.tasks.comparison.{place}")
        monkeypatch.setattr(module, "dataset_config", lambda *_: config)
    home = Home(tmp_path)
    comparison = compared(home)
    (dataset,) = comparison.datasets
    assert dataset.cluster == "document" and dataset.images <= 12
    page = render(comparison, build_gallery(comparison, home.images, 100_000, 100))
    for text in (comparison.verdict, markdown(comparison), page):
        assert f"on {dataset.images} documents" in text
        assert f"on {dataset.images} images" not in text
    assert "clustered by document" in page and "clustered by image" not in page
    assert any(note.startswith(f"only {dataset.images} documents") for note in dataset.notes)


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ("image", "1,200 questions on 30 images"),
        ("document", "1,200 questions on 30 documents"),
        ("story", "1,200 questions on 30 stories"),
        ("essay", "1,200 questions on 30 essays"),
        ("question", "1,200 questions"),
    ],
)
def test_a_scope_is_said_in_the_clusters_name(cluster: str, words: str) -> None:
    assert scope_words(1200, 30, cluster) == words


def test_what_is_plural_stays() -> None:
    assert plural("series") == "series"
