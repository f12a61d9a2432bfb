from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.runs.directory import Count, RunDirectory
from pixtrack.tasks.tracking.content import RunContent
from pixtrack.tasks.tracking.pages import breakdowns, description, predictions
from tests.doubles.finished_runs import changed, finished_run
from tests.doubles.synthetic_runs import DatasetFactory


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    home = Home(tmp_path_factory.mktemp("home"))
    return finished_run(DatasetFactory(home, questions=20, images=5), failed=[3])


def test_description_opens_with_the_verdict(run: RunDirectory) -> None:
    text = description(RunContent.read(run), {"charts": "#/charts"})
    assert text.startswith("## anls ")
    assert "95% CI" in text.splitlines()[0]
    assert "1 failed" in text and "[all runs of this dataset as charts](#/charts)" in text


def test_description_says_what_keeps_a_score_from_meaning_anything(run: RunDirectory) -> None:
    content = changed(run, weights="random", limit=20, imported_from="old.csv")
    text = description(content)
    assert (
        "random weights" in text.splitlines()[0]
        and "Not all questions (first 20)" in text
        and "old.csv" in text
    )
    assert content.run_name == "Alpha · short · first 20 · imported"


def test_description_says_how_answers_were_read(run: RunDirectory) -> None:
    content = changed(run, states={"reasoning": {"never reached an answer": Count(count=3, of=25)}})
    assert "\n- reasoning: 12% never reached an answer (3 of 25)\n" in description(content)


def test_predictions_start_with_the_key_and_the_compared_column(run: RunDirectory) -> None:
    table = predictions(RunContent.read(run))
    assert table
    assert table["columns"][:5] == [
        "question and gold", "prediction and score", "question_id", "prediction", "score"
    ]  # fmt: skip
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    for part in (row["question"], row["targets"], row["question_id"]):
        assert part in row["question and gold"]
    assert row["prediction and score"] == f"{row['prediction']}\nscore: {row['score']:.3g}"
    assert len({one[0] for one in table["data"]}) == len(table["data"])
    # MLflow's compare view prefers a column of this name to the second one.
    assert "output" not in table["columns"]
    failed = dict(zip(table["columns"], table["data"][3], strict=True))
    assert failed["score"] is None and failed["error"].startswith("too long")
    json.dumps(table, allow_nan=False)


def test_repeated_question_ids_give_way_to_the_row_index(run: RunDirectory, tmp_path: Path) -> None:
    scores = pd.read_parquet(run.scores_file).assign(question_id="-1")
    other = RunDirectory(tmp_path)
    for file in run.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    scores.to_parquet(other.scores_file)
    table = predictions(RunContent.read(other))
    assert table
    assert [row[2] for row in table["data"]] == [str(i) for i in range(20)]
    assert len({row[0] for row in table["data"]}) == 20


def test_breakdowns_name_group_and_headline(run: RunDirectory) -> None:
    table = breakdowns(RunContent.read(run))
    assert table
    assert table["columns"][:3] == ["group", "metric", "value"]
    assert {row[1] for row in table["data"]} == {"anls"}


def documents(tmp_path: Path, **changes: Any) -> RunDirectory:
    dataset = DatasetFactory(
        Home(tmp_path), name="docvqa_test", questions=12, images=6, pages=3, **changes
    )
    return finished_run(dataset, "beta", failed=[1])


def test_questions_on_several_images_name_them_all_and_their_options(tmp_path: Path) -> None:
    run = documents(tmp_path, options=("red", "blue | green"))
    table = predictions(RunContent.read(run))
    assert table is not None
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    assert row["options"] == "A. red | B. blue | green"
    assert len(row["image"].split(", ")) == 3 and row["image"].endswith(".png")
    old = predictions(RunContent.read(finished_run(DatasetFactory(Home(tmp_path), questions=5))))
    assert old is not None and "options" not in old["columns"]


def test_a_run_without_golds_says_so_and_has_no_number(tmp_path: Path) -> None:
    content = RunContent.read(documents(tmp_path, published=False))
    text = description(content)
    assert text.startswith("## anls not scored")
    assert "11 of the answers have no score: their golds are not published" in text
    assert "| anls | not scored | 0 |" in text
    table = predictions(content)
    assert table is not None
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    assert row["targets"] == "" and row["score"] is None and row["prediction"]


def test_pages_that_were_not_shown_are_on_the_runs_page(tmp_path: Path) -> None:
    rule = {"choice": "even", "most": 2, "max_model_len": 4096, "questions": 3, "images": 6}
    text = description(changed(documents(tmp_path), pages=rule))
    assert "3 questions were shown ones at even distances of their images (at most 2" in text
    assert "6 images were left out" in text
    assert "Pages" not in description(changed(documents(tmp_path), pages=rule | {"questions": 0}))
