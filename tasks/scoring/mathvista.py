"""MathVista's metric: an extracted answer, read by the type of the question's answer.

Source: lupantech/MathVista 53d5258 `evaluation/calculate_score.py`. It scores extractions: there a
language model has taken the bare answer out of the response before; a whole response is scored as
if it were one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring.choices import NOT_PARSED, letters

NEAREST = "nearest choice"
"""State of an extraction that is neither a choice nor its letter: the nearest choice is taken."""

_IN_BRACKETS = re.compile(r"\(([a-zA-Z])\)")


def mathvista(prediction: str, gold: Gold) -> float | None:
    """1.0 where the extraction, normalised to the type of the answer, is the gold, else 0.0.

    A multiple-choice question takes its choice (a letter, else the choice with the least edit
    distance), an integer what `int` makes of the number, a float the number rounded to the
    question's precision; anything else stays as it is. None without a gold.
    """
    if not gold.answers:
        return None
    return 1.0 if normalised(prediction, gold) in gold.answers else 0.0


def state(prediction: str, gold: Gold) -> str:
    """NEAREST or NOT_PARSED where the extraction could not be read as what was asked, else ""."""
    if not gold.options:
        return NOT_PARSED if normalised(prediction, gold) is None else ""
    chosen = _choice(prediction)
    return "" if chosen in letters(gold) or chosen in gold.options else NEAREST


def normalised(extraction: str, gold: Gold) -> str | None:
    """The extraction in the form that the gold has; None where it cannot be read as such."""
    if gold.options:
        chosen, known = _choice(extraction), letters(gold)
        if chosen in known:
            return gold.options[known.index(chosen)]
        return _nearest(chosen, gold.options)
    try:
        if gold.answer_type == "integer":
            return str(int(float(extraction)))
        if gold.answer_type == "float":
            return str(round(float(extraction), int(float(gold.detail("precision")))))
    except (ValueError, OverflowError):  # no number, not a finite one, or no precision given
        return None
    return extraction


def _nearest(text: str, options: Sequence[str]) -> str:
    """The option with the least edit distance to the text, the first among equals."""
    nearest, least = options[0], Levenshtein.distance(text, options[0])
    for option in options[1:]:
        # Given up as soon as it is no nearer: very long options would take long.
        distance = Levenshtein.distance(text, option, score_cutoff=least - 1) if least else 0
        if distance < least:
            nearest, least = option, distance
    return nearest


def _choice(extraction: str) -> str:
    """The first letter in brackets, as a capital; else the extraction without outer blanks."""
    extraction = extraction.strip()
    letter = _IN_BRACKETS.search(extraction)
    return letter.group(1).upper() if letter else extraction
