"""ChartQAPro's metric: numbers within 5%, years and options exactly, text by ANLS, lists itemwise.

Source: vis-nlp/ChartQAPro `evaluate_predictions.py`. That script works out that Fact Checking and
Multi Choice are to be matched exactly, but never passes it on: `chartqapro` scores as published,
`chartqapro_exact` as it was meant.
"""

from __future__ import annotations

from functools import lru_cache

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring import list_literals
from pixtrack.tasks.scoring.anls import anls_of_package

TOLERANCE = 0.05
"""Relative difference that still counts as right, as in ChartQA."""
CONVERSATIONAL = "Conversational"
EXACT_TYPES = frozenset({"Fact Checking", "Multi Choice"})


def chartqapro(prediction: str, gold: Gold) -> float | None:
    """As published: the mean over the items of the gold's list; None without a gold."""
    return _score(prediction, gold, exactly=False)


def chartqapro_exact(prediction: str, gold: Gold) -> float | None:
    """As meant: Fact Checking and Multi Choice have to match exactly; None without a gold."""
    return _score(prediction, gold, exactly=gold.question_type in EXACT_TYPES)


def _score(prediction: str, gold: Gold, *, exactly: bool) -> float | None:
    if not gold.answers:
        return None
    # A conversation's golds are those of all its turns; the last turn is asked.
    targets = _targets(gold.answers[-1].strip(".").strip("\n"))
    seen = list_literals.items(prediction.strip(".").strip("\n"))
    # The published script needs a flag a row and fails without; no flag means no year here.
    flags = gold.flags or ("NO",)
    if gold.question_type == CONVERSATIONAL:
        flags = flags[-1:]
    if len(flags) < len(targets):
        flags = flags * len(targets)
    scores = [
        _item_score(given, target, exactly=exactly or flag.upper() == "YES")
        for given, target, flag in zip(seen, targets, flags, strict=False)
    ]
    return sum(scores) / max(len(seen), len(targets))  # an item missing or too many scores 0


def _item_score(given: str, target: str, *, exactly: bool) -> float:
    if exactly:
        return 1.0 if given.strip().lower() == target.strip().lower() else 0.0
    given, target = (text.strip().strip("%").strip() for text in (given, target))
    number, target_number = _number(given), _number(target)
    if number is not None and target_number is not None:
        if target_number == 0.0:
            return 1.0 if number == 0.0 else 0.0
        return 1.0 if abs(number - target_number) / abs(target_number) <= TOLERANCE else 0.0
    return anls_of_package(given.lower(), (target.lower(),))


def _number(text: str) -> float | None:
    try:
        return float(text.strip().strip("%"))
    except ValueError:
        return None


@lru_cache(maxsize=1 << 12)
def _targets(answer: str) -> tuple[str, ...]:
    return list_literals.target_items(answer)
