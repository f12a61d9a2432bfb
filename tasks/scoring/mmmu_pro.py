"""MMMU-Pro's metric: the letter after "Answer:", else the last letter or option that is named.

Source: MMMU-Benchmark/MMMU bb0b95a `mmmu-pro/evaluate.py`. An answer that names no option is
replaced by a random one there, without a seed; here every question has a seed of its own, and such
answers are counted.
"""

from __future__ import annotations

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring.choices import GUESSED, guess, letters
from pixtrack.tasks.scoring.mmmu import last_found, option_by_text

_MARKER = "Answer:"
_ENDS = (",", ".", "!", "?", ";", ":", "'")


def mmmu_pro(prediction: str, gold: Gold) -> float | None:
    """1.0 where the answer is right, else 0.0; an answer that names no option is a guess.

    None without a gold, and for a question without options.
    """
    if not gold.answers or not gold.options:
        return None
    return 1.0 if (chosen_option(prediction, gold) or guess(gold)) in gold.answers else 0.0


def guessed(prediction: str, gold: Gold) -> str:
    """GUESSED where the answer names no option, else ""."""
    return GUESSED if gold.options and chosen_option(prediction, gold) is None else ""


def chosen_option(response: str, gold: Gold) -> str | None:
    """The letter of the option that the answer names; None where it names none.

    Behind the last "Answer:" a letter counts if it is the only one of the options' letters there.
    Otherwise, in the whole answer: letters in brackets, letters before a blank (the last letter of
    a word in capitals too, as published), letters before a full stop, the texts of the options.
    """
    known = letters(gold)
    _, marker, behind = response.rpartition(_MARKER)
    if marker:
        named = [letter for letter in known if letter in behind]
        if len(named) == 1:
            return named[0]
    for mark in _ENDS:
        response = response.strip(mark)
    response = f" {response} "
    bracketed = {letter: response.rfind(f"({letter})") for letter in known}
    if (found := last_found(bracketed)) is not None:
        return found
    for form in ("{} ", "{}."):
        named = [letter for letter in known if form.format(letter) in response]
        if named:
            # As published: of several the last one between blanks, and the first if none is.
            return max(named, key=lambda letter: response.rfind(f" {letter} "))
    return option_by_text(response, gold)
