"""What a comparison says, and how it says it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.comparison import Comparison, compare
from pixtrack.tasks.comparison.statistics import holm
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.scoring.uncertainty import clustered_interval
from tests.doubles.synthetic_runs import DatasetFactory


def scores_of(run: RunDirectory, metric: str = "anls") -> pd.DataFrame:
    return pd.read_parquet(run.scores_file)[["image", metric]]


def test_difference_is_the_paired_cluster_robust_regression(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha"), docs.run("beta", skill=0.5, seed=2)
    (pair,) = compare([a, b]).datasets[0].differences
    ours, theirs = scores_of(b), scores_of(a)
    fit = sm.OLS(100 * (ours["anls"] - theirs["anls"]), np.ones(len(ours))).fit(
        cov_type="cluster",
        cov_kwds={"groups": pd.factorize(ours["image"])[0]},
        use_t=True,
    )
    assert pair.difference == pytest.approx(fit.params.iloc[0])
    assert pair.stderr == pytest.approx(fit.bse.iloc[0])
    assert pair.ci95 == pytest.approx(tuple(fit.conf_int().iloc[0]))


def test_leaderboard_is_sorted_and_has_the_scorings_own_intervals(docs: DatasetFactory) -> None:
    runs = [docs.run("alpha"), docs.run("beta", skill=1.0, seed=2), docs.run("gamma", skill=-1.0)]
    rows = compare(runs).datasets[0].runs
    assert [row.model for row in rows] == ["beta", "alpha", "gamma"]
    table = scores_of(runs[1])
    assert rows[0].score == clustered_interval(table["anls"], table["image"])
    assert set(rows[0].metrics) == {"anls", "exact_match"}


def test_better_by_far_is_said_with_size_interval_p_and_scope(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha", skill=-2), docs.run("beta", skill=2, seed=2)
    verdict = compare([a, b]).verdict
    assert verdict.startswith("Beta beats Alpha on docvqa_val by ")
    for part in ("points (95% CI ", "p < 0.001", "60 questions on "):
        assert part in verdict
    assert "Holm" not in verdict, "one comparison needs no correction"
    assert compare([b, a]).verdict.startswith("Beta beats Alpha"), "whichever is the baseline"


def test_no_difference_says_what_could_have_been_shown(docs: DatasetFactory) -> None:
    runs = [docs.run("alpha"), docs.run("beta", seed=2)]
    (pair,) = compare(runs).datasets[0].differences
    assert pair.outcome == "not shown"
    assert "No difference between Beta and Alpha that docvqa_val could show" in pair.sentence
    assert f"±{pair.detectable_corrected:.1f} points" in pair.sentence


def test_equal_answers_are_called_identical(docs: DatasetFactory) -> None:
    scores = np.tile([1.0, 0.0], 30)
    runs = [docs.run("alpha", scores=scores), docs.run("beta", scores=scores, seed=2)]
    (pair,) = compare(runs).datasets[0].differences
    assert (pair.outcome, pair.p, pair.stderr) == ("identical", 1.0, None)
    assert "score the same on every question" in pair.sentence


def test_holm_runs_over_every_dataset_and_model(home: Home, docs: DatasetFactory) -> None:
    charts = DatasetFactory(home, name="charts", seed=5, pixels=(300, 400))
    runs = [
        factory.run(model, skill=skill, seed=i)
        for factory in (docs, charts)
        for i, (model, skill) in enumerate([("alpha", 0), ("beta", 0.4), ("gamma", 0.8)])
    ]
    result = compare(runs)
    pairs = [pair for dataset in result.datasets for pair in dataset.differences]
    assert result.comparisons == 4
    assert [pair.p_corrected for pair in pairs] == holm([pair.p for pair in pairs])
    assert all("after Holm for 4 comparisons" in pair.sentence for pair in pairs)


def test_failed_questions_are_dropped_from_the_pair_and_counted(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha"), docs.run("beta", seed=2, failed=[1, 2, 3])
    dropped = compare([a, b]).datasets[0]
    (pair,) = dropped.differences
    assert (pair.n, pair.left_out) == (57, 3)
    assert dropped.row("r1").failed == 3
    zero = compare([a, b], failed="zero").datasets[0]
    assert zero.differences[0].n == 60
    assert pair.failed_scored_zero == pytest.approx(zero.differences[0].difference)
    assert zero.differences[0].failed_scored_zero == pytest.approx(pair.difference)
    assert zero.row("r1").score.n == 60


def test_rows_that_the_metric_leaves_out_stay_out_under_both_policies(
    docs: DatasetFactory,
) -> None:
    scores = np.ones(60)
    scores[:5] = np.nan
    a, b = docs.run("alpha", scores=scores), docs.run("beta", scores=scores, seed=2, failed=[0, 9])
    assert compare([a, b]).datasets[0].differences[0].n == 54
    zero = compare([a, b], failed="zero").datasets[0]
    assert zero.differences[0].n == 55
    assert zero.row("r1").score.n == 55


def test_truncated_answers_are_counted_and_kept(docs: DatasetFactory) -> None:
    a, b = docs.run("alpha", truncated=[4, 5]), docs.run("beta", seed=2)
    dataset = compare([a, b]).datasets[0]
    assert dataset.row("r0").truncated == 2
    assert dataset.differences[0].n == 60


def test_wins_ties_losses_and_agreement_stand_over_the_same_questions(
    docs: DatasetFactory,
) -> None:
    (pair,) = compare([docs.run("alpha"), docs.run("beta", seed=2)]).datasets[0].differences
    assert pair.wins + pair.ties + pair.losses == pair.n == 60
    cells = (pair.both_right, pair.run_only_right, pair.against_only_right, pair.both_wrong)
    assert sum(cells) == 60
    assert pair.agreement == pytest.approx((cells[0] + cells[3]) / 60)
    assert pair.same_prediction is not None


def test_cost_is_devices_times_seconds_per_thousand_questions(docs: DatasetFactory) -> None:
    two = {"name": "vllm", "platform": "cuda", "options": {"tensor_parallel_size": 2}}
    runs = [docs.run("alpha", engine=two), docs.run("beta", seed=2)]
    speed = compare(runs).datasets[0].row("r0").speed
    assert speed.samples_per_s == pytest.approx(60 / 35)
    assert speed.devices == 2
    assert speed.device_seconds_per_1000 == pytest.approx(1000 * 2 * 35 / 60)


def test_breakdowns_hold_scores_and_differences_with_intervals(docs: DatasetFactory) -> None:
    dataset = compare([docs.run("alpha"), docs.run("beta", seed=2)]).datasets[0]
    kinds = {breakdown.name: breakdown.groups for breakdown in dataset.breakdowns}
    assert set(kinds) == {"question_type", "answer_type", "image_size", "answer_length"}
    assert sum(group.n for group in kinds["answer_type"]) == 60
    group = kinds["answer_type"][0]
    assert set(group.scores) == {"r0", "r1"}
    assert set(group.differences) == {"r1"}
    difference = group.differences["r1"]
    better, worse = group.scores["r1"].value, group.scores["r0"].value
    assert better is not None and worse is not None
    assert difference.value == pytest.approx(better - worse)
    assert difference.ci95 is not None


def test_a_group_on_one_image_has_no_interval(home: Home) -> None:
    docs = DatasetFactory(home, questions=12, images=4)
    docs.types = np.where(docs.image_of == docs.image_of[0], "rare", "common")
    dataset = compare([docs.run("alpha"), docs.run("beta", seed=2)]).datasets[0]
    types = next(b for b in dataset.breakdowns if b.name == "question_type").groups
    rare = next(group for group in types if group.group == "rare")
    assert rare.images == 1
    assert rare.scores["r0"].ci95 is None
    assert rare.differences["r1"].ci95 is None


def test_labels_tell_prompts_of_one_model_apart(docs: DatasetFactory) -> None:
    runs = [docs.run("alpha"), docs.run("alpha", prompt="long", seed=2), docs.run("beta", seed=3)]
    labels = {row.label for row in compare(runs).datasets[0].runs}
    assert labels == {"Alpha · short", "Alpha · long", "Beta"}


def test_one_models_prompts_are_called_by_the_prompt_alone(docs: DatasetFactory) -> None:
    result = compare([docs.run("alpha"), docs.run("alpha", prompt="long", seed=2)])
    assert {row.label for row in result.datasets[0].runs} == {"prompt short", "prompt long"}
    assert result.title == "Alpha"


def test_random_weights_and_failed_runs_are_pointed_out(docs: DatasetFactory) -> None:
    runs = [docs.run("alpha", weights="random"), docs.run("beta", seed=2)]
    assert any("random weights" in note for note in compare(runs).datasets[0].notes)


def test_few_images_are_pointed_out(home: Home) -> None:
    for images, cautioned in ((8, True), (40, False)):
        docs = DatasetFactory(
            home, name=f"d{images}", questions=200, images=images, pixels=(300, 400)
        )
        notes = compare([docs.run("alpha"), docs.run("beta", seed=2)]).datasets[0].notes
        assert any("only 8 images" in note for note in notes) == cautioned


def test_many_cut_off_answers_are_pointed_out(docs: DatasetFactory) -> None:
    few = compare([docs.run("alpha", truncated=[1]), docs.run("beta", seed=2)]).datasets[0]
    assert not any("cut off" in note for note in few.notes)
    many = compare([docs.run("gamma", truncated=range(9)), docs.run("beta", seed=2)]).datasets[0]
    assert any("9 of 60 answers were cut off" in note for note in many.notes)


def test_comparison_survives_json(docs: DatasetFactory) -> None:
    result = compare([docs.run("alpha"), docs.run("beta", seed=2, failed=range(60))])
    text = json.dumps(result.to_json(), allow_nan=False)
    assert Comparison.model_validate_json(text).to_json() == result.to_json()


def test_a_run_without_any_score_is_not_comparable_rather_than_zero(docs: DatasetFactory) -> None:
    dataset = compare([docs.run("alpha"), docs.run("beta", seed=2, failed=range(60))]).datasets[0]
    assert dataset.differences[0].outcome == "not comparable"
    assert dataset.row("r1").score.value is None


def test_one_run_a_dataset_is_refused(docs: DatasetFactory) -> None:
    with pytest.raises(UserError, match="no two runs on one dataset"):
        compare([docs.run("alpha")])


def test_baseline_by_model_run_or_first(docs: DatasetFactory) -> None:
    runs = [docs.run("alpha"), docs.run("beta", seed=2), docs.run("gamma", seed=3)]
    for baseline, expected in ((None, "r0"), ("Beta", "r1"), (runs[2], "r0")):
        dataset = compare(runs, baseline).datasets[0]
        assert {pair.against for pair in dataset.differences} == {dataset.baseline}
        assert dataset.baseline == expected
    with pytest.raises(UserError, match="unknown baseline 'delta'"):
        compare(runs, "delta")


def test_a_dataset_that_lacks_the_baseline_says_what_stands_in(
    home: Home, docs: DatasetFactory
) -> None:
    charts = DatasetFactory(home, name="charts", seed=5, pixels=(300, 400))
    runs = [docs.run("alpha"), docs.run("beta", seed=2), charts.run("beta"), charts.run("gamma")]
    result = compare(runs, "alpha")
    notes = next(d for d in result.datasets if d.dataset == "charts").notes
    assert any("baseline alpha has no run on charts; compared with Beta" in note for note in notes)


def test_several_verdicts_make_one_headline(docs: DatasetFactory) -> None:
    runs = [docs.run("alpha", skill=-2)]
    runs += [docs.run(name, skill=2, seed=i) for i, name in enumerate(("beta", "gamma"), 2)]
    assert compare(runs).verdict == "Beta and Gamma beat Alpha on docvqa_val."


def test_verdicts_over_datasets_name_where_each_is_better(home: Home) -> None:
    runs = []
    for name, skill in (("docvqa_val", 3.0), ("charts", -3.0), ("texts", 0.0)):
        factory = DatasetFactory(home, name=name, pixels=(300, 400))
        runs += [factory.run("alpha"), factory.run("beta", skill=skill, seed=2)]
    assert compare(runs).verdict == (
        "Beta beats Alpha on docvqa_val; Alpha beats Beta on charts; "
        "the other dataset shows no difference."
    )


def test_a_model_keeps_its_key_on_every_dataset(home: Home, docs: DatasetFactory) -> None:
    charts = DatasetFactory(home, name="charts", seed=5, pixels=(300, 400))
    runs = [docs.run("alpha"), docs.run("beta", seed=2), docs.run("gamma", seed=3)]
    runs += [charts.run("gamma"), charts.run("beta", seed=2)]
    keys = {(run.label, run.key) for dataset in compare(runs).datasets for run in dataset.runs}
    assert keys == {("Alpha", "r0"), ("Beta", "r1"), ("Gamma", "r2")}


def test_a_kept_configuration_of_another_version_is_left_out(docs: DatasetFactory) -> None:
    runs = [docs.run("alpha"), docs.run("beta", seed=2)]
    for run in runs:
        config = json.loads(run.config_file.read_text()) if run.config_file.exists() else {}
        config["model"] = {"name": "alpha", "a_key_of_the_future": 1}
        run.config_file.write_text(json.dumps(config))
    assert compare(runs).datasets[0].differences
