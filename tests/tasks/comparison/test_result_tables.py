"""The comparison as Markdown and CSV."""

from __future__ import annotations

import csv
import io

import pytest

from pixtrack.configs.schema import PublishedScore
from pixtrack.tasks.comparison import compare
from pixtrack.tasks.comparison.result import Published
from pixtrack.tasks.comparison.result_rows import (
    breakdown_rows,
    difference_rows,
    leaderboard_rows,
    to_csv,
)
from pixtrack.tasks.comparison.result_tables import headline_markdown, markdown
from pixtrack.tasks.comparison.verdict import interval_words, signed
from tests.doubles.synthetic_runs import DatasetFactory


def test_markdown_tables_are_whole_and_start_with_the_verdict(docs: DatasetFactory) -> None:
    result = compare([docs.run("alpha", skill=-2), docs.run("beta", skill=2, seed=2)])
    text = markdown(result)
    assert result.verdict in text.split("\n\n")[1]
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") - line.count("\\|") for line in lines}) <= 1, block
    assert "**" in headline_markdown(result), "a proven best is bold"


def test_nothing_is_bold_where_no_difference_is_shown(docs: DatasetFactory) -> None:
    result = compare([docs.run("alpha"), docs.run("beta", seed=2)])
    assert "**" not in headline_markdown(result)


def test_published_scores_stand_apart_from_measured_ones(docs: DatasetFactory) -> None:
    result = compare([docs.run("alpha"), docs.run("beta", seed=2)])
    published = Published(model="Elsewhere-7B", value=95.7, metric="ANLS", by="its card", note="")
    dataset = result.datasets[0].model_copy(update={"published": (published,)})
    result = result.model_copy(update={"datasets": (dataset,)})
    assert "Elsewhere-7B" not in headline_markdown(result)
    assert "Elsewhere-7B" not in to_csv(leaderboard_rows(result))
    before, after = markdown(result).split("Published by others")
    assert "Elsewhere-7B" not in before
    assert "| Elsewhere-7B | ANLS | its card | 95.7 |" in after


def test_published_scores_come_from_the_configurations(
    docs: DatasetFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixtrack.tasks.comparison import standings as leaderboard

    score = PublishedScore(value=90.7, metric="anls", dataset="docvqa_val", by="its card")
    other = PublishedScore(value=12.0, metric="anls", dataset="textvqa_val", by="its card")

    class Config:
        title = "Alpha-12B"
        published_scores = (score, other)

    monkeypatch.setattr(leaderboard, "dataset_config", lambda *_: None)
    monkeypatch.setattr(leaderboard, "model_config", lambda _: Config())
    result = compare([docs.run("alpha"), docs.run("beta", seed=2)])
    assert [(p.model, p.value) for p in result.datasets[0].published] == [("Alpha-12B", 90.7)]


def test_csv_has_a_row_a_run_a_pair_and_a_group(docs: DatasetFactory) -> None:
    result = compare([docs.run("alpha"), docs.run("beta", seed=2), docs.run("gamma", seed=3)])
    groups = sum(len(breakdown.groups) for breakdown in result.datasets[0].breakdowns)
    for rows, expected in (
        (leaderboard_rows(result), 3),
        (difference_rows(result), 2),
        (breakdown_rows(result), 3 * groups),
    ):
        read = list(csv.DictReader(io.StringIO(to_csv(rows))))
        assert len(read) == expected
        assert not any(None in row for row in read)


def test_names_cannot_break_a_table(docs: DatasetFactory) -> None:
    result = compare([docs.run("al|pha<b>"), docs.run("beta", seed=2)])
    table = headline_markdown(result)
    assert "Al\\|Pha&lt;B>" in table


@pytest.mark.parametrize(
    ("points", "words"), [(2.1, "+2.1"), (-0.3, "−0.3"), (-0.04, "0.0"), (0.0, "0.0")]
)
def test_differences_carry_a_true_sign_and_no_negative_zero(points: float, words: str) -> None:
    assert signed(points) == words


def test_intervals_are_in_words_so_that_no_dash_meets_a_minus() -> None:
    assert interval_words(-0.5, 1.1) == "−0.5 to 1.1"
