"""The statistics against scipy and statsmodels, and by simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from pixtrack.tasks.comparison.statistics import (
    RANDOM_FLIPS,
    agreement,
    holm,
    minimal_detectable,
    sign_flip_p,
    win_tie_loss,
)
from pixtrack.tasks.scoring.uncertainty import cluster_codes, clustered_mean


def clustered_differences(
    rng: np.random.Generator, images: int, effect: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Differences in {-1, 0, 1} of two graded answers, correlated within images of unequal size."""
    sizes = 1 + rng.geometric(0.25, images)
    clusters = np.repeat(np.arange(images), sizes)
    shared = rng.normal(0, 0.6, images)[clusters]
    latent = shared + rng.normal(0, 1, len(clusters)) + effect
    return np.where(latent > 0.9, 1.0, np.where(latent < -0.9, -1.0, 0.0)), clusters


@pytest.mark.parametrize("images", [5, 40, 400])
def test_interval_is_that_of_cluster_robust_least_squares(images: int) -> None:
    values, clusters = clustered_differences(np.random.default_rng(images), images, 0.1)
    ours = clustered_mean(values, clusters)
    fit = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True
    )
    assert ours.mean == pytest.approx(float(fit.params[0]))
    assert ours.stderr == pytest.approx(float(fit.bse[0]), rel=1e-9)
    assert (ours.low, ours.high) == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-9)


def test_one_question_an_image_is_the_one_sample_t_interval() -> None:
    values = np.random.default_rng(1).normal(0.1, 1, 30)
    ours = clustered_mean(values, np.arange(30))
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((low, high))


def test_repeated_questions_do_not_make_the_interval_narrower() -> None:
    values = np.random.default_rng(2).normal(0, 1, 25)
    once = clustered_mean(values, np.arange(25))
    copied = clustered_mean(np.repeat(values, 10), np.repeat(np.arange(25), 10))
    assert copied.stderr == pytest.approx(once.stderr)


@pytest.mark.parametrize(
    ("values", "clusters"), [([1.0, 0.0], ["a", "a"]), ([1.0] * 20, range(20)), ([], [])]
)
def test_no_variation_or_one_image_gives_no_interval_rather_than_certainty(
    values: list[float], clusters: list[str]
) -> None:
    found = clustered_mean(values, cluster_codes(clusters))
    assert (found.stderr, found.low, found.high) == (None, None, None)


@pytest.mark.parametrize("images", [30, 200])
def test_interval_covers_the_truth_in_93_to_97_of_100_clustered_datasets(images: int) -> None:
    rng = np.random.default_rng(images)
    effect = 0.15
    scale = (0.6**2 + 1) ** 0.5
    truth = stats.norm.sf((0.9 - effect) / scale) - stats.norm.cdf((-0.9 - effect) / scale)
    runs, hits, naive_hits = 3000, 0, 0
    for _ in range(runs):
        values, clusters = clustered_differences(rng, images, effect)
        ours = clustered_mean(values, clusters)
        assert ours.low is not None
        assert ours.high is not None
        hits += ours.low <= truth <= ours.high
        naive = 1.96 * values.std(ddof=1) / len(values) ** 0.5
        naive_hits += abs(values.mean() - truth) <= naive
    print(f"coverage with {images} images: {hits / runs:.3f} (unclustered {naive_hits / runs:.3f})")
    assert 0.93 <= hits / runs <= 0.97
    assert naive_hits / runs < 0.93, "the data must be clustered enough for this to be a test"


@pytest.mark.parametrize(("images", "runs"), [(10, 2000), (60, 1000)])
def test_sign_flips_raise_a_false_alarm_in_at_most_6_of_100(
    images: int, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixtrack.tasks.comparison.statistics.RANDOM_FLIPS", 2000)
    rng = np.random.default_rng(images)
    alarms = 0
    for _ in range(runs):
        p = sign_flip_p(*clustered_differences(rng, images))
        alarms += p is not None and p <= 0.05
    print(f"false alarms with {images} images: {alarms / runs:.3f}")
    assert alarms / runs <= 0.06


def test_holm_keeps_false_alarms_over_a_family_at_most_6_of_100() -> None:
    rng = np.random.default_rng(3)
    families = 600
    alarms = 0
    for _ in range(families):
        p = [sign_flip_p(*clustered_differences(rng, 10)) for _ in range(6)]
        alarms += any(q is not None and q <= 0.05 for q in holm(p))
    assert alarms / families <= 0.06


def test_exact_flips_are_those_of_scipys_permutation_test() -> None:
    rng = np.random.default_rng(4)
    values, clusters = clustered_differences(rng, 9, 0.4)
    totals = np.bincount(clusters, weights=values)
    expected = stats.permutation_test(
        (totals, np.zeros(9)), lambda x, y: np.sum(x - y), permutation_type="samples"
    ).pvalue
    assert sign_flip_p(values, clusters) == pytest.approx(expected)


def test_random_flips_agree_with_counting_every_flip(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    totals = rng.integers(-3, 4, 14).astype(float) + 0.75
    exact = np.mean(
        [abs(np.dot(s, totals)) >= abs(totals.sum()) - 1e-9 for s in product((1, -1), repeat=14)]
    )
    assert sign_flip_p(totals, np.arange(14)) == pytest.approx(exact)
    monkeypatch.setattr("pixtrack.tasks.comparison.statistics.EXACT_CLUSTERS", 0)
    margin = 4 * (exact * (1 - exact) / RANDOM_FLIPS) ** 0.5
    assert sign_flip_p(totals, np.arange(14)) == pytest.approx(exact, abs=margin)


def test_same_data_give_the_same_p_value() -> None:
    values, clusters = clustered_differences(np.random.default_rng(6), 300, 0.05)
    assert sign_flip_p(values, clusters) == sign_flip_p(values, clusters)


def test_models_that_answer_alike_differ_by_chance_surely() -> None:
    assert sign_flip_p([0.0] * 5, np.arange(5)) == 1.0
    assert sign_flip_p([], np.arange(0)) is None


def test_holm_is_statsmodels_holm() -> None:
    p = [0.01, 0.04, 0.03, 0.5, 0.001]
    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))


def test_holm_does_not_count_comparisons_without_a_p_value() -> None:
    assert holm([0.02, None, 0.03]) == [0.04, None, 0.04]


def test_minimal_detectable_difference_has_80_percent_power() -> None:
    difference = minimal_detectable(stderr=0.01, clusters=101)
    assert difference is not None
    power = TTestPower().power(difference / (0.01 * 101**0.5), nobs=101, alpha=0.05)
    assert power == pytest.approx(0.80, abs=0.005)


def test_more_comparisons_can_show_only_larger_differences() -> None:
    one, ten = minimal_detectable(0.01, 100), minimal_detectable(0.01, 100, comparisons=10)
    assert one is not None
    assert ten is not None
    assert one < ten
    assert minimal_detectable(None, 1) is None


def test_a_difference_of_that_size_is_found_80_times_in_100(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pixtrack.tasks.comparison.statistics.RANDOM_FLIPS", 1000)
    rng = np.random.default_rng(7)
    effect, images = 0.28, 80
    found, errors, means = 0, [], []
    for _ in range(500):
        values, clusters = clustered_differences(rng, images, effect)
        p = sign_flip_p(values, clusters)
        result = clustered_mean(values, clusters)
        assert p is not None
        assert result.stderr is not None
        found += p <= 0.05
        errors.append(result.stderr)
        means.append(result.mean)
    promised = minimal_detectable(float(np.median(errors)), images)
    assert promised is not None
    # The effect here is what it is; scale the promise to it: power at that effect.
    power = stats.norm.cdf(np.mean(means) / np.median(errors) - 1.96)
    assert found / 500 == pytest.approx(power, abs=0.05)
    assert promised == pytest.approx(2.8 * np.median(errors), rel=0.03)


@pytest.mark.parametrize("clusters", [2, 3, 10, 101])
@pytest.mark.parametrize("comparisons", [1, 6])
def test_the_detectable_difference_is_blooms_formula(clusters: int, comparisons: int) -> None:
    freedom = clusters - 1
    expected = stats.t.ppf(1 - 0.025 / comparisons, freedom) + stats.t.ppf(0.8, freedom)
    found = minimal_detectable(0.02, clusters, comparisons)
    assert found == pytest.approx(0.02 * expected)
    assert minimal_detectable(0.02, 1, comparisons) is None


def test_agreement_of_no_question_and_of_one() -> None:
    none = agreement([], [])
    assert (none.both_right, none.first_only, none.second_only, none.both_wrong) == (0, 0, 0, 0)
    assert none.agreement is None and none.kappa is None
    one = agreement([1.0], [0.0])
    assert (one.first_only, one.agreement, one.kappa) == (1, 0.0, None)


@pytest.mark.parametrize("constant", [[0, 0, 0], [1, 1, 1]])
def test_a_model_that_is_always_right_or_always_wrong_has_no_kappa(constant: list[int]) -> None:
    assert agreement([1, 0, 1], constant).kappa is None
    assert agreement(constant, [1, 0, 1]).kappa is None


def test_agreement_is_cohens_kappa() -> None:
    a = np.array([1, 1, 0, 0, 1, 0.6, 0, 1, 1, 0])
    b = np.array([1, 0, 0, 0, 1, 0.5, 1, 1, 1, 0.3])
    found = agreement(a, b)
    from statsmodels.stats.inter_rater import cohens_kappa

    table = [[found.both_right, found.first_only], [found.second_only, found.both_wrong]]
    assert sum(map(sum, table)) == 10
    assert found.kappa == pytest.approx(cohens_kappa(np.array(table)).kappa)
    assert found.agreement == 0.8


def test_kappa_has_no_meaning_where_a_model_is_always_right() -> None:
    assert agreement([1, 1, 1], [1, 0, 1]).kappa is None


def test_wins_ties_and_losses_add_up() -> None:
    counts = win_tie_loss([0.5, 0.0, -1.0, 1e-12, 0.2])
    assert (counts.wins, counts.ties, counts.losses) == (2, 2, 1)
