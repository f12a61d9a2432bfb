"""VQA accuracy with golds and prediction always normalised: lmms-eval's reading of VQAv2.

Source: EvolvingLMMs-Lab/lmms-eval `tasks/vqav2/utils.py` with
`tasks/_task_utils/vqa_eval_metric.py`. Reported beside the official one, which normalises only
where the annotators disagree.
"""

from __future__ import annotations

from functools import lru_cache

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring import vqa_answers


def vqa_accuracy_normalised(prediction: str, gold: Gold) -> float | None:
    """Agreement of the normalised prediction with the normalised golds; None without a gold."""
    if not gold.answers:
        return None
    return vqa_answers.agreement(_normalise(prediction), _annotators(gold.answers))


@lru_cache(maxsize=1 << 15)
def _annotators(answers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_normalise(answer) for answer in answers)


@lru_cache(maxsize=1 << 16)
def _normalise(text: str) -> str:
    return vqa_answers.standard_words(
        vqa_answers.strip_punctuation(vqa_answers.one_line(text), vqa_answers.COMMAS_IN_NUMBER)
    )
