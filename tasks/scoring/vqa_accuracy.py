"""VQA accuracy of VQAv2, as its official evaluator computes it.

Source: GT-Vision-Lab/VQA `PythonEvaluationTools/vqaEvaluation/vqaEval.py`.
"""

from __future__ import annotations

from functools import lru_cache

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring import vqa_answers


def vqa_accuracy(prediction: str, gold: Gold) -> float | None:
    """Agreement with the annotators; None without a gold.

    Golds and prediction are normalised only where the annotators do not all say the same: with
    ten times "yes", the prediction "Yes" scores 0.
    """
    if not gold.answers:
        return None
    answers, unanimous = _annotators(gold.answers)
    answer = vqa_answers.one_line(prediction)
    return vqa_answers.agreement(answer if unanimous else _normalise(answer), answers)


@lru_cache(maxsize=1 << 15)
def _annotators(answers: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The golds as they are compared, and whether they are all the same."""
    lines = tuple(vqa_answers.one_line(answer) for answer in answers)
    if len(set(lines)) == 1:
        return lines, True
    return tuple(_normalise(line) for line in lines), False


@lru_cache(maxsize=1 << 16)
def _normalise(line: str) -> str:
    return vqa_answers.standard_words(
        vqa_answers.strip_punctuation(line, vqa_answers.COMMA_IN_NUMBER)
    )
