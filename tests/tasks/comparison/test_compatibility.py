"""What may be compared, and what is refused with the reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.comparison import compare
from tests.doubles.synthetic_runs import DatasetFactory


def test_other_questions_are_refused_unless_allowed(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha"), docs.run("beta", seed=2, digest="f" * 64)
    with pytest.raises(UserError, match=r"different versions of docvqa_val.*--allow questions"):
        compare([a, b])
    result = compare([a, b], allow=["questions"]).datasets[0]
    assert result.questions == 60
    assert any("digests" in note for note in result.notes)


def test_other_versions_are_matched_by_content_not_by_row(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha"), docs.run("beta", seed=2, digest="f" * 64)
    table = pd.read_parquet(b.scores_file)
    expected = compare([a, b], allow=["questions"]).datasets[0].differences[0].difference
    shuffled = table.sample(frac=1, random_state=0).assign(index=np.arange(60))
    shuffled.to_parquet(b.scores_file)
    again = compare([a, b], allow=["questions"]).datasets[0].differences[0]
    assert again.difference == pytest.approx(expected)


def test_changed_golds_are_pointed_out(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha"), docs.run("beta", seed=2, digest="f" * 64)
    table = pd.read_parquet(b.scores_file)
    table["answers"] = [["other"] if n == 3 else golds for n, golds in enumerate(table["answers"])]
    table.to_parquet(b.scores_file)
    notes = compare([a, b], allow=["questions"]).datasets[0].notes
    assert any("other golds" in note and "on 1 of 60" in note for note in notes)


def test_unequal_limits_are_refused_unless_allowed(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha"), docs.run("beta", seed=2, limit=25)
    with pytest.raises(UserError, match=r"different questions .all; first 25.*--allow questions"):
        compare([a, b])
    dataset = compare([a, b], allow=["questions"]).datasets[0]
    assert dataset.questions == 25
    assert {row.score.n for row in dataset.runs} == {25}


def test_model_and_prompt_changed_at_once_is_refused(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha"), docs.run("beta", seed=2, prompt="long")
    with pytest.raises(UserError, match=r"both the model and the prompt policy differ \(template"):
        compare([a, b])
    assert compare([a, b], allow=["prompt"]).datasets[0].differences


def test_prompts_of_one_model_may_be_compared(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha"), docs.run("alpha", seed=2, prompt="long")
    (pair,) = compare([a, b]).datasets[0].differences
    assert any(text.startswith("prompt.template:") for text in pair.differs)


def test_equal_prompts_under_two_names_are_equal(docs: DatasetFactory) -> None:
    a = docs.run("alpha", template="{question}")
    b = docs.run("beta", seed=2, prompt="renamed", template="{question}")
    assert compare([a, b]).datasets[0].differences


def test_other_output_limit_counts_as_another_prompt_policy(docs: DatasetFactory) -> None:
    b = docs.run("beta", seed=2, identity={"sampling": {"max_tokens": 10, "temperature": 0.0}})
    with pytest.raises(UserError, match="max_tokens"):
        compare([docs.run("alpha"), b])


def test_in_a_grid_only_one_thing_changes_in_each_pair(docs: DatasetFactory) -> None:
    runs = [
        docs.run(model, prompt=prompt, seed=seed)
        for seed, (model, prompt) in enumerate(
            [("alpha", "short"), ("alpha", "long"), ("beta", "short"), ("beta", "long")]
        )
    ]
    pairs = {(p.run, p.against) for p in compare(runs).datasets[0].differences}
    assert pairs == {("r1", "r0"), ("r2", "r0"), ("r3", "r1")}


def test_other_headline_metrics_are_refused_unless_one_is_named(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha"), docs.run("beta", seed=2, metric="relaxed_accuracy")
    with pytest.raises(UserError, match=r"headline metrics differ.*--metric"):
        compare([a, b])
    assert compare([a, b], metric="exact_match").datasets[0].metric == "exact_match"
    assert compare([a, b], allow=["metric"]).datasets[0].notes


def test_other_versions_of_a_metric_are_refused(docs: DatasetFactory) -> None:
    a = docs.run("alpha", metric_versions={"anls": 1})
    b = docs.run("beta", seed=2, metric_versions={"anls": 2})
    with pytest.raises(UserError, match=r"versions 1 and 2 of anls.*pixtrack rescore"):
        compare([a, b])
    assert compare([a, b], metric="exact_match").datasets[0].differences


def test_unknown_metric_names_those_there_are(docs: DatasetFactory) -> None:
    runs = [docs.run("alpha"), docs.run("beta", seed=2)]
    with pytest.raises(UserError, match=r"'anl'. Did you mean 'anls'"):
        compare(runs, metric="anl")


def test_unknown_allowance_is_refused(docs: DatasetFactory) -> None:
    with pytest.raises(UserError, match="prompts"):
        compare([docs.run("alpha")], allow=["prompts"])


def test_a_run_is_not_compared_with_itself(home: Home, docs: DatasetFactory) -> None:
    run = docs.run("alpha")
    copy = home.runs / "docvqa_val" / "copy"
    copy.mkdir()
    for file in run.path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    record = run.read_record()
    assert record
    type(run)(copy).write_record(record.model_copy(update={"name": "copy"}))
    with pytest.raises(UserError, match="the same run: one fingerprint"):
        compare([run, type(run)(copy)])


def test_damaged_score_table_names_the_file_and_the_remedy(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha"), docs.run("beta", seed=2)
    b.scores_file.write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match=r"scores\.parquet.*pixtrack rescore"):
        compare([a, b])
