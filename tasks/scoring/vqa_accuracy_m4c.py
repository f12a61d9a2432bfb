"""VQA accuracy of TextVQA, as the m4c evaluator computes it.

Source: facebookresearch/mmf `mmf/utils/m4c_evaluators.py` (TextVQAAccuracyEvaluator).
"""

from __future__ import annotations

from functools import lru_cache

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring import vqa_answers


def vqa_accuracy_m4c(prediction: str, gold: Gold) -> float | None:
    """Agreement with the annotators, everything always normalised; None without a gold.

    Before the VQA normaliser: lower case, no "," and no "?", and "'s" as a word of its own.
    """
    if not gold.answers:
        return None
    return vqa_answers.agreement(_normalise(prediction), _annotators(gold.answers))


@lru_cache(maxsize=1 << 15)
def _annotators(answers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_normalise(answer) for answer in answers)


@lru_cache(maxsize=1 << 16)
def _normalise(text: str) -> str:
    words = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return vqa_answers.standard_words(
        vqa_answers.strip_punctuation(vqa_answers.one_line(words), vqa_answers.COMMAS_IN_NUMBER)
    )
