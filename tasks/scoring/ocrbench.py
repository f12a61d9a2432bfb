"""OCRBench's metric: the gold stands somewhere in the answer.

Source: Yuliang-Liu/MultimodalOCR 794c36d `OCRBench/example.py`. The longer an answer, the more it
contains, so the mean length of the answers is shown beside the score.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring.metric import ScoredAnswer

FORMULAS = "Handwritten Mathematical Expression Recognition"
"""The question type whose images are HME100k's: LaTeX, in which case matters and blanks do not."""


def ocrbench(prediction: str, gold: Gold) -> float | None:
    """1.0 where a gold is part of the answer, else 0.0; None without a gold.

    Upper and lower case are the same, and a line break is a blank; of formulas (FORMULAS) all
    blanks are taken out and the case stays.
    """
    if not gold.answers:
        return None
    read = _formula if gold.question_type == FORMULAS else _text
    seen = read(prediction)
    return 1.0 if any(read(answer) in seen for answer in gold.answers) else 0.0


def mean_length(answers: Sequence[ScoredAnswer]) -> float | None:
    """Characters of an answer, on average; None without an answer."""
    if not answers:
        return None
    return sum(len(answer.prediction) for answer in answers) / len(answers)


def _text(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _formula(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")
