from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import stats

from pixtrack.tasks.runs.directory import Interval
from pixtrack.tasks.scoring import clustered_interval


def clustered_data(
    rng: np.random.Generator, groups: int, largest: int = 12
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Right or wrong, where an image's questions share a difficulty and images differ in size."""
    sizes = rng.integers(1, largest + 1, groups)
    clusters = np.repeat(np.arange(groups), sizes)
    difficulty = rng.beta(2.0, 1.0, groups)
    return (rng.random(len(clusters)) < difficulty[clusters]).astype(float), clusters


def test_the_clustered_error_is_that_of_a_cluster_robust_regression_on_a_constant() -> None:
    values, clusters = clustered_data(np.random.default_rng(1), 200)
    fit = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True
    )
    interval = clustered_interval(values, clusters)
    assert interval.stderr == pytest.approx(100 * fit.bse[0])
    assert interval.ci95 == pytest.approx(tuple(100 * fit.conf_int()[0]))
    assert interval.value == pytest.approx(100 * values.mean())
    assert interval.n == len(values)


def test_the_formula_holds_when_written_out_by_hand() -> None:
    values, clusters = np.array([1.0, 0.0, 1.0, 1.0, 0.5]), np.array(["a", "a", "b", "b", "c"])
    mean = 0.7
    residual_sums = [(1 - mean) + (0 - mean), 2 * (1 - mean), 0.5 - mean]
    variance = 3 / 2 * sum(u * u for u in residual_sums) / 25
    interval = clustered_interval(values, clusters)
    assert interval.value == pytest.approx(70)
    assert interval.stderr == pytest.approx(100 * math.sqrt(variance))
    half = 100 * stats.t.ppf(0.975, 2) * math.sqrt(variance)
    assert interval.ci95 == pytest.approx((max(0, 70 - half), min(100, 70 + half)))


def test_two_images_are_the_fewest_that_give_an_error() -> None:
    interval = clustered_interval(np.array([1.0, 0.0, 1.0, 1.0]), np.array(["a", "a", "b", "b"]))
    # Residual sums of ±0.5 about a mean of 0.75: sqrt(2/1 · 0.5) / 4.
    assert interval.stderr == pytest.approx(25)
    assert clustered_interval(np.array([1.0, 0.0]), ["a", "a"]).stderr is None


def test_one_question_an_image_gives_the_ordinary_error() -> None:
    values = np.random.default_rng(2).random(50)
    interval = clustered_interval(values, np.arange(50))
    assert interval.stderr == pytest.approx(100 * stats.sem(values))
    assert interval.stderr_naive == pytest.approx(interval.stderr)
    low, high = stats.t.interval(0.95, 49, values.mean(), stats.sem(values))
    assert interval.ci95 == pytest.approx((100 * low, 100 * high))


def test_copying_every_question_of_an_image_changes_the_naive_error_only() -> None:
    values, clusters = np.random.default_rng(3).random(80), np.arange(80)
    once, thrice = (
        clustered_interval(values, clusters),
        clustered_interval(np.repeat(values, 3), np.repeat(clusters, 3)),
    )
    assert thrice.stderr == pytest.approx(once.stderr)
    assert thrice.ci95 == pytest.approx(once.ci95)
    assert thrice.stderr_naive is not None and once.stderr_naive is not None
    assert thrice.stderr_naive < 0.6 * once.stderr_naive


def test_a_bootstrap_over_images_finds_the_same_error() -> None:
    rng = np.random.default_rng(4)
    values, clusters = clustered_data(rng, 300)
    sums, sizes = np.bincount(clusters, weights=values), np.bincount(clusters)
    drawn = rng.integers(0, 300, (4000, 300))
    means = 100 * sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    interval = clustered_interval(values, clusters)
    assert interval.stderr == pytest.approx(means.std(ddof=1), rel=0.05)
    assert interval.ci95 == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.4)
    assert interval.stderr_naive is not None
    assert interval.stderr_naive < 0.8 * means.std(ddof=1)


@pytest.mark.parametrize(("groups", "repetitions"), [(30, 6000), (300, 2500)])
def test_the_interval_covers_the_true_score_95_times_in_100(groups: int, repetitions: int) -> None:
    """And the naive one, on the same data, does not."""
    rng = np.random.default_rng(groups)
    truth = 100 * 2 / 3  # the mean of the difficulty, which does not depend on the image's size
    covered = covered_naively = 0
    for _ in range(repetitions):
        interval = clustered_interval(*clustered_data(rng, groups))
        assert interval.ci95 is not None and interval.stderr_naive is not None
        assert interval.value is not None
        covered += interval.ci95[0] <= truth <= interval.ci95[1]
        covered_naively += abs(interval.value - truth) <= 1.96 * interval.stderr_naive
    assert 0.93 <= covered / repetitions <= 0.97
    assert covered_naively / repetitions < 0.88


def test_one_image_gives_a_value_but_no_error() -> None:
    interval = clustered_interval([1.0, 0.0, 1.0], ["a", "a", "a"])
    assert interval.value == pytest.approx(200 / 3)
    assert interval.stderr is None
    assert interval.ci95 is None
    assert interval.n == 3


def test_one_question_gives_a_value_but_no_error_at_all() -> None:
    interval = clustered_interval([1.0], ["a"])
    assert (interval.value, interval.stderr, interval.stderr_naive) == (100.0, None, None)


def test_nothing_scored_gives_no_value() -> None:
    for values in ([], [math.nan, math.nan]):
        interval = clustered_interval(values, ["a"] * len(values))
        assert interval == Interval(value=None, stderr=None, ci95=None, n=0)


def test_rows_without_a_score_are_left_out() -> None:
    interval = clustered_interval([1.0, math.nan, 0.0, 1.0], ["a", "b", "c", "c"])
    assert interval == clustered_interval([1.0, 0.0, 1.0], ["a", "c", "c"])
    assert interval.n == 3


def test_the_interval_ends_where_the_scale_ends() -> None:
    low = clustered_interval([0.0] * 9 + [1.0], range(10)).ci95
    high = clustered_interval([1.0] * 9 + [0.0], range(10)).ci95
    assert low is not None and high is not None
    assert low[0] == 0.0
    assert high[1] == 100.0


def test_all_right_is_not_certain() -> None:
    """With 10 of 10 images right, a model that gets 3 in 10 wrong is implausible, 1 in 10 is not."""
    all_right = clustered_interval([1.0] * 20, np.repeat(np.arange(10), 2))
    assert all_right.value == 100.0
    assert all_right.stderr == 0.0
    assert all_right.ci95 == pytest.approx((100 * 0.025**0.1, 100.0))
    binomial = stats.binomtest(10, 10).proportion_ci(method="exact")
    assert all_right.ci95 == pytest.approx((100 * binomial.low, 100 * binomial.high))
    all_wrong = clustered_interval([0.0] * 10, range(10))
    assert all_wrong.ci95 == pytest.approx((0.0, 100 * (1 - 0.025**0.1)))


def test_images_that_all_have_the_same_mean_give_no_estimate() -> None:
    for values in ([1.0, 0.0, 0.0, 1.0], [0.3, 0.3, 0.3, 0.3]):
        interval = clustered_interval(values, ["a", "a", "b", "b"])
        assert interval.value == pytest.approx(100 * sum(values) / 4)
        assert interval.stderr is None
        assert interval.ci95 is None
        assert interval.stderr_naive is not None


def test_clusters_may_be_anything_that_can_be_told_apart() -> None:
    values = [1.0, 0.0, 1.0, 0.0, 1.0]
    expected = clustered_interval(values, [0, 0, 1, 2, 2])
    for clusters in (
        ["x", "x", "y", "z", "z"],
        pd.Series(["x", "x", "y", "z", "z"], index=[9, 8, 7, 6, 5]),
        np.array([7, 7, 3, 5, 5]),
        [("a", 1), ("a", 1), ("a", 2), ("b", 1), ("b", 1)],
        [None, None, "", "None", "None"],
    ):
        assert clustered_interval(values, clusters) == expected


def test_a_hundred_thousand_samples_take_no_time() -> None:
    rng = np.random.default_rng(5)
    values, clusters = rng.random(100_000), rng.integers(0, 30_000, 100_000).astype(str)
    start = time.process_time()  # other processes do not count
    clustered_interval(values, clusters)
    assert time.process_time() - start < 5
