"""MMMU's metric: the last option that an answer names; of an open question, any number or phrase.

Source: MMMU-Benchmark/MMMU bb0b95a `mmmu/utils/eval_utils.py`. An answer that names no option is
replaced by a random one there: `mmmu` does the same, but every question has a seed of its own, so
that a score does not depend on the other answers; `mmmu_no_guess` scores it 0. Both count such
answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring.choices import GUESSED, NOT_PARSED, guess, letters

_ENDS = (",", ".", "!", "?", ";", ":", "'")
_WORDS_OF_A_SENTENCE = 5
"""Only an answer of more words is searched for the text of an option."""
_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
"""What stands before the answer of an open question."""
_TRIVIAL = {":", ",", ".", "!", "?", ";", "'"}

# The published patterns, but a number is only looked for where a run of digits begins: a match that
# fails there fails further on in the run too, and trying all of them takes quadratic time.
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:(?<!\d)\d+\.\d+|\.\d+|(?<!\d)\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)


def mmmu(prediction: str, gold: Gold) -> float | None:
    """1.0 where the answer is right, else 0.0; an answer that names no option is a guess.

    None without a gold.
    """
    if not gold.answers:
        return None
    if not gold.options:
        return _open(prediction, gold)
    chosen = chosen_option(prediction, gold) or guess(gold)
    return 1.0 if chosen in gold.answers else 0.0


def mmmu_no_guess(prediction: str, gold: Gold) -> float | None:
    """`mmmu`, but an answer that names no option is wrong."""
    if not gold.answers:
        return None
    if not gold.options:
        return _open(prediction, gold)
    return 1.0 if chosen_option(prediction, gold) in gold.answers else 0.0


def guessed(prediction: str, gold: Gold) -> str:
    """GUESSED where `mmmu` guesses, else ""."""
    return GUESSED if not_parsed(prediction, gold) else ""


def not_parsed(prediction: str, gold: Gold) -> str:
    """NOT_PARSED where the answer to a multiple-choice question names no option, else ""."""
    return NOT_PARSED if gold.options and chosen_option(prediction, gold) is None else ""


def chosen_option(response: str, gold: Gold) -> str | None:
    """The letter of the option that the answer names last; None where it names none.

    First letters in brackets count, if there are none letters between blanks, and if there are
    none the texts of the options.
    """
    for mark in _ENDS:
        response = response.strip(mark)
    response = f" {response} "
    for form in ("({})", " {} "):
        places = {letter: response.rfind(form.format(letter)) for letter in letters(gold)}
        if (found := last_found(places)) is not None:
            return found
    return option_by_text(response, gold)


def option_by_text(response: str, gold: Gold) -> str | None:
    """The letter of the option whose text comes last in an answer of more than five words."""
    if len(response.split(None, _WORDS_OF_A_SENTENCE)) <= _WORDS_OF_A_SENTENCE:
        return None
    lowered = response.lower()
    texts = zip(letters(gold), gold.options, strict=True)
    return last_found({letter: lowered.rfind(text.lower()) for letter, text in texts})


def last_found(places: dict[str, int]) -> str | None:
    """The key with the greatest place, the first among equals; None where all places are -1."""
    best = max(places, key=lambda letter: places[letter], default=None)
    return best if best is not None and places[best] >= 0 else None


def _open(prediction: str, gold: Gold) -> float:
    """1.0 where a gold is a number of the answer, or stands in one of its decisive phrases."""
    texts, numbers = _golds(gold.answers)
    phrases = _phrases(prediction)
    if texts and any(_is_in(text, phrase) for phrase in phrases for text in texts):
        return 1.0
    if not numbers:
        return 0.0
    # No number goes over the end of a line, so that the phrases may be searched as one text.
    joined = "\n".join(phrases)
    found = (number for pattern in _NUMBERS for number in pattern.findall(joined))
    return 0.0 if numbers.isdisjoint(map(_number, (*phrases, *found))) else 1.0


def _is_in(text: str, phrase: str) -> bool:
    """Whether the gold's text stands in a phrase of the answer that is no number."""
    places = (f" {phrase}", f"{phrase} ") if len(phrase) == 1 else (phrase,)
    return any(text in place for place in places) and _number(phrase) is None


@lru_cache(maxsize=1 << 12)
def _golds(answers: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[float]]:
    """(texts, numbers) as they are looked for; a single letter only beside a blank."""
    texts: list[str] = []
    numbers: set[float] = set()
    for answer in answers:
        answer = answer.strip()
        number = _number(answer)
        if number is not None:
            numbers.add(number)
            continue
        answer = answer.lower()
        texts.extend((f" {answer}", f"{answer} ") if len(answer) == 1 else (answer,))
    return tuple(texts), frozenset(numbers)


def _phrases(response: str) -> tuple[str, ...]:
    """What follows the last indicator of each line, where that is shortest; else all of it."""
    response = response.strip().strip(".").lower()
    # Published: also after a full stop that a capital follows; a lower-cased text has none.
    lines = response.split("\n")
    phrases = [*_decisive(lines[:-1], _INDICATORS), *_decisive(lines[-1:], (*_INDICATORS, "="))]
    return tuple(dict.fromkeys(phrases)) or (response.strip(),)


def _decisive(lines: Iterable[str], indicators: tuple[str, ...]) -> Iterable[str]:
    for line in lines:
        shortest = ""
        for indicator in indicators:
            if indicator in line:
                rest = line.rpartition(indicator)[2].strip()
                if not shortest or len(rest) < len(shortest):
                    shortest = rest
        if shortest and shortest not in _TRIVIAL:
            yield shortest


def _number(text: str) -> float | None:
    try:
        return round(float(text.replace(",", "")), 2)
    except ValueError:
        return None
