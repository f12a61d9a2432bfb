"""ANLS, the metric of DocVQA and InfographicVQA: edit-distance similarity with a threshold.

Source: Biten et al. 2019 (Scene Text VQA, arXiv 1905.13648), as the evaluation script of the
Robust Reading Competition computes it (infographicsvqa_eval.py; lmms-eval and Qwen-VL carry the
same code). Two variants are in use and differ at the edges, so both are here.
"""

from __future__ import annotations

from functools import lru_cache

from rapidfuzz.distance import Levenshtein

from pixtrack.tasks.records import Gold

THRESHOLD = 0.5
"""Below this similarity an answer counts as another answer, not a misread one (Biten et al.)."""


def anls(prediction: str, gold: Gold) -> float | None:
    """1 - NL to the nearest gold, 0 where that is under 0.5; None without a gold.

    The distance is between the strings lower-cased with white space collapsed, but it is divided
    by the longer length of the strings as they came (upper-cased, as published: "ß" counts two).
    Exactly 0.5 is kept.
    """
    if not gold.answers:
        return None
    seen = collapse(prediction)
    raw_length = len(prediction.upper())
    least = 1.0
    for answer in gold.answers:
        target, target_raw_length = _target(answer)
        longer = max(target_raw_length, raw_length)
        distance = Levenshtein.distance(target, seen, score_cutoff=longer // 2)
        nearest = distance / longer if longer else 0.0
        least = min(least, nearest)
    similarity = 1.0 - least
    return similarity if similarity >= THRESHOLD else 0.0


def anls_of_package(prediction: str, answers: tuple[str, ...]) -> float:
    """ANLS as the PyPI package `anls` 0.0.2 computes it, which ChartQAPro's script calls.

    Differs from the competition's: lengths are those of the normalised strings, and a distance of
    exactly half scores 0.
    """
    seen = collapse(prediction)
    best = 0.0
    for answer in answers:
        target = collapse(answer)
        longer = max(len(seen.upper()), len(target.upper()))
        distance = Levenshtein.distance(seen, target, score_cutoff=longer // 2)
        nearest = distance / longer if longer else 0.0
        if nearest < THRESHOLD:
            best = max(best, 1.0 - nearest)
    return best


def collapse(text: str) -> str:
    """Lower-cased, runs of white space as one blank, none at the ends."""
    return " ".join(text.lower().split())


@lru_cache(maxsize=1 << 16)
def _target(answer: str) -> tuple[str, int]:
    return collapse(answer), len(answer.upper())
