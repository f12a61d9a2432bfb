"""ANLS as mistral-evals computes it, to compare with the scores on Mistral's model cards.

Source: mistralai/mistral-evals `eval/metrics.py` (ANLS). Its threshold is 0.0 where the published
metric has 0.5, and punctuation at the end of prediction and gold is ignored, so its figures are
higher than anybody else's.
"""

from __future__ import annotations

import string
from functools import lru_cache

from rapidfuzz.distance import Levenshtein

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring.anls import collapse


def mistral_evals_anls(prediction: str, gold: Gold) -> float | None:
    """1 - NL to the nearest gold, without a threshold; None without a gold."""
    if not gold.answers:
        return None
    seen = without_end_punctuation(collapse(prediction))
    least = 1.0
    for answer in gold.answers:
        target = _target(answer)
        longer = max(len(target), len(seen))
        least = min(least, Levenshtein.distance(target, seen) / longer if longer else 0.0)
    return 1.0 - least


def without_end_punctuation(text: str) -> str:
    """Drops ASCII punctuation and white space at the end, up to a "%"."""
    end = len(text)
    while end and text[end - 1] != "%":
        if text[end - 1] not in string.punctuation and not text[end - 1].isspace():
            break
        end -= 1
    return text[:end]


@lru_cache(maxsize=1 << 15)
def _target(answer: str) -> str:
    return without_end_punctuation(collapse(answer))
