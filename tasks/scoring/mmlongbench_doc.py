"""MMLongBench-Doc's metric: an extracted answer, compared by the format of the gold.

Source: mayubo2333/MMLongBench-Doc d73f0dc `eval/eval_score.py`. It scores extractions: there a
language model has taken the bare answer out of the response before. The published code reads lists
with `eval`; here an answer is never evaluated, and one that is no list of literals is one item.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isclose

from rapidfuzz.distance import Levenshtein

from pixtrack.tasks.literals import read_list
from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring.metric import ScoredAnswer

NOT_ANSWERABLE = "Not answerable"
"""The gold of a question that the document does not answer, and the answer that says so."""
RELATIVE_TOLERANCE = 0.01
ANLS_THRESHOLD = 0.5
"""A similarity of exactly this scores 0, unlike in DocVQA's ANLS."""

_OUTER_QUOTES = re.compile(r"^['\"]|['\"]$")
_EXACT = (
    re.compile(r"\d+(-\d+|\s\d+)?"),  # a telephone number, and any whole number
    re.compile(r"\d{4}[-\s]\d{2}([-\s]\d{2})?"),  # a date or a month
    re.compile(r"[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}"),
)


def mmlongbench_doc(prediction: str, gold: Gold) -> float | None:
    """The score of an extraction in [0, 1]; None without a gold.

    `gold.answer_type` is the dataset's answer_format: Int (equal whole numbers), Float (within 1%,
    as it is, times 100 or by 100), Str and None (ANLS; equal if the gold is an address, a date or
    the like), List (as many items, and the worst of them counts when both lists are sorted).
    """
    if not gold.answers:
        return None
    return max(_score(answer, prediction, gold.answer_type) for answer in gold.answers)


def f1(answers: Sequence[ScoredAnswer]) -> float | None:
    """F1 in percent over the questions that can be answered; None without any answer.

    The scores' sum over the answerable questions, by their number (recall) and by the number of
    questions that the model did not call "Not answerable" (precision).
    """
    if not answers:
        return None
    answerable = [one for one in answers if NOT_ANSWERABLE not in one.gold.answers]
    answered = sum(one.prediction != NOT_ANSWERABLE for one in answers)
    total = sum(one.score or 0.0 for one in answerable)
    both = len(answerable) + answered
    return 100 * 2 * total / both if both else 0.0


def _score(answer: str, prediction: str, answer_format: str) -> float:
    if answer_format == "Int":
        return _whole_numbers(answer, prediction)
    if answer_format == "Float":
        return _numbers(answer, prediction)
    if answer_format == "List":
        return _lists(_items(answer), _items(prediction))
    target, seen = cleaned(answer), cleaned(prediction)
    return float(target == seen) if _is_exact(target) else _similarity(target, seen)


def _whole_numbers(answer: str, prediction: str) -> float:
    try:
        return float(int(answer) == int(float(prediction)))
    except (ValueError, OverflowError):
        return float(answer == "")  # as published: what cannot be read is compared as ""


def _numbers(answer: str, prediction: str) -> float:
    try:
        target, seen = float(cleaned(answer)), float(cleaned(prediction))
    except ValueError:
        return 0.0
    for wanted in (target / 100, target, target * 100):
        if isclose(wanted, seen, rel_tol=RELATIVE_TOLERANCE):
            return 1.0
        digits = max(min(_decimals(seen), _decimals(wanted)), 2)
        if round(seen, digits) == round(wanted, digits):
            return 1.0
    return 0.0


def _decimals(number: float) -> int:
    """Characters behind the point as Python writes the number, 3 if it writes none."""
    _, point, decimals = str(number).rpartition(".")
    return len(decimals) if point else 3


def _items(text: str) -> list[str]:
    """The cleaned items of a list, sorted; a text that is no list is its one item."""
    items = read_list(text) if text.startswith("[") else None
    return sorted(cleaned(item) for item in ((text,) if items is None else items))


def _lists(targets: Sequence[str], seen: Sequence[str]) -> float:
    if len(targets) != len(seen):
        return 0.0
    if not targets:
        return 1.0
    if _is_number(targets[0]) or _is_exact(targets[0]):
        return float("-".join(targets) == "-".join(seen))
    return min(_similarity(*pair) for pair in zip(targets, seen, strict=True))


def cleaned(text: str) -> str:
    """Lower-cased, without what stands in brackets, outer quotes, a "$" before and a "%" behind.

    The published code means to take "mile", "miles" and "million" off too, but drops the result.
    """
    text = _without_brackets(text.lower().strip()).strip()
    text = _OUTER_QUOTES.sub("", text).strip()
    return text.lstrip("$").strip().rstrip("%").strip()


def _without_brackets(text: str) -> str:
    r"""`re.sub(r"\s*\([^)]*\)", "", text)`, which takes quadratic time over many open brackets."""
    kept, start = [], 0
    while (opened := text.find("(", start)) >= 0 and (closed := text.find(")", opened)) >= 0:
        kept.append(text[start:opened].rstrip())
        start = closed + 1
    return "".join((*kept, text[start:]))


def _is_exact(text: str) -> bool:
    """Whether a gold is a name of something, of which nearly right is wrong."""
    if text.startswith("page") or text.endswith((".py", "ipynb")):
        return True
    if any(part in text for part in ("https://", "a.m.", "p.m.")):
        return True
    return any(pattern.fullmatch(text) for pattern in _EXACT)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _similarity(target: str, seen: str) -> float:
    longer = max(len(target.upper()), len(seen.upper()))
    distance = Levenshtein.distance(target, seen, score_cutoff=longer // 2)
    similarity = 1.0 - (distance / longer if longer else 0.0)
    return similarity if similarity > ANLS_THRESHOLD else 0.0
