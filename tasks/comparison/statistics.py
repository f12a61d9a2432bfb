"""The statistics of a paired comparison: pure functions of per-question differences and images.

Questions on one image share its difficulty, so everywhere the image, not the question, is the
unit of sampling. Scores and differences are on the metric's own scale, [0, 1] and [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

ALPHA = 0.05
POWER = 0.80
RIGHT = 0.5
"""A graded score from here on counts as right: ANLS gives nothing between 0 and its published
threshold of 0.5 (Biten et al., 2019), and in VQA accuracy 0.5 needs two agreeing annotators."""
EXACT_CLUSTERS = 14
"""Up to so many images with a difference, all 2^n sign flips are counted."""
RANDOM_FLIPS = 20_000
FLIP_SEED = 20_241
_FLIPS_AT_ONCE = 2_000
_TIE = 1e-9


def sign_flip_p(differences: ArrayLike, codes: NDArray[np.intp]) -> float | None:
    """Two-sided p-value of "neither is better": a paired permutation test by image.

    `codes` numbers each difference's image from 0.

    Where neither model is better, swapping their names on an image changes nothing: the sign of
    each image's summed difference is random. Exact over all flips for up to EXACT_CLUSTERS images
    that show a difference; otherwise RANDOM_FLIPS random flips from a fixed seed, counting the
    observed one (Phipson & Smyth 2010), so p is never 0. None without any question.
    """
    data = np.asarray(differences, dtype=float)
    if len(data) == 0:
        return None
    totals = np.bincount(codes, weights=data)
    totals = totals[np.abs(totals) > _TIE]
    if len(totals) == 0:
        return 1.0
    observed = abs(float(totals.sum())) - _TIE
    if len(totals) <= EXACT_CLUSTERS:
        bits = np.arange(2 ** len(totals), dtype=np.uint32)
        sums = np.zeros(len(bits))
        for position, total in enumerate(totals):
            sums += np.where(bits >> position & 1, total, -total)
        return float(np.mean(np.abs(sums) >= observed))
    hits = 0
    rng = np.random.default_rng(FLIP_SEED)
    weights = totals.astype(np.float32)
    # float32 sums of up to thousands of totals: a tie must not be lost to rounding.
    bound = np.float32(observed - 1e-5 * float(np.abs(totals).sum()) / len(totals))
    whole = float(totals.sum())
    for start in range(0, RANDOM_FLIPS, _FLIPS_AT_ONCE):
        rows = min(_FLIPS_AT_ONCE, RANDOM_FLIPS - start)
        random = rng.integers(0, 256, (rows, -(-len(totals) // 8)), dtype=np.uint8)
        flipped = np.unpackbits(random, axis=1, count=len(totals)).astype(np.float32) @ weights
        hits += int(np.count_nonzero(np.abs(whole - 2 * flipped) >= bound))
    return (hits + 1) / (RANDOM_FLIPS + 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p-values (Holm 1979); None stays None and does not count."""
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        adjusted[i] = largest
    return adjusted


def minimal_detectable(stderr: float | None, clusters: int, comparisons: int = 1) -> float | None:
    """The true difference that such a comparison would find 80% of the time, at a level of 5%.

    (t(1-α/2) + t(0.8)) · stderr (Bloom 1995), α being 5% over the number of comparisons made.
    """
    if stderr is None or clusters < 2:
        return None
    freedom = clusters - 1
    quantile = stats.t.ppf(1 - ALPHA / comparisons / 2, freedom) + stats.t.ppf(POWER, freedom)
    return float(quantile) * stderr


@dataclass(frozen=True)
class Counts:
    """On how many questions the first scored higher, the same, or lower."""

    wins: int
    ties: int
    losses: int


def win_tie_loss(differences: ArrayLike) -> Counts:
    """Counts of positive, zero and negative differences."""
    data = np.asarray(differences, dtype=float)
    wins, losses = int((data > _TIE).sum()), int((data < -_TIE).sum())
    return Counts(wins, len(data) - wins - losses, losses)


@dataclass(frozen=True)
class Agreement:
    """How often two models are right and wrong on the same questions."""

    both_right: int
    first_only: int
    second_only: int
    both_wrong: int
    agreement: float | None
    """Share of questions on which both are right or both wrong."""
    kappa: float | None
    """Cohen's kappa of right/wrong; None where one of them is always right or always wrong."""


def agreement(first: ArrayLike, second: ArrayLike) -> Agreement:
    """The agreement of two columns of scores, RIGHT and above being right (Cohen 1960)."""
    a, b = np.asarray(first, dtype=float) >= RIGHT, np.asarray(second, dtype=float) >= RIGHT
    n = len(a)
    both, neither = int((a & b).sum()), int((~a & ~b).sum())
    first, second = int((a & ~b).sum()), int((~a & b).sum())
    if n == 0:
        return Agreement(0, 0, 0, 0, None, None)
    observed = (both + neither) / n
    share_a, share_b = a.mean(), b.mean()
    chance = float(share_a * share_b + (1 - share_a) * (1 - share_b))
    varies = 0 < share_a < 1 and 0 < share_b < 1
    kappa = (observed - chance) / (1 - chance) if varies else None
    return Agreement(both, first, second, neither, observed, kappa)
