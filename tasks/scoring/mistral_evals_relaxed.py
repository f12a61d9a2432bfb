"""Relaxed correctness as mistral-evals computes it: MMMU and MathVista on Mistral's model cards.

Source: mistralai/mistral-evals d61811f `eval/metrics.py` (ExplicitPromptRelaxedCorrectness and
AnywhereInAnswerRelaxedCorrectness). Both read the whole output: `explicit` what follows the last
"answer:", `anywhere` in addition any place of the gold in an output without one, of which its
authors say that it is overly generous. The gold of a multiple-choice question is its letter.
"""

from __future__ import annotations

from collections.abc import Iterable

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring.choices import NOT_PARSED, gold_letters
from pixtrack.tasks.scoring.mistral_evals import without_end_punctuation
from pixtrack.tasks.scoring.postprocess import final_answer

TOLERANCE = 0.05
_SMALLEST = 1e-10
"""What a difference is divided by where the gold is 0."""


def mistral_evals_explicit(output: str, gold: Gold) -> float | None:
    """1.0 where what follows the last "answer:" is right, else 0.0; None without a gold."""
    if not gold.answers:
        return None
    answer = final_answer(output)
    return _relaxed(answer, _golds(gold)) if answer else 0.0


def mistral_evals_anywhere(output: str, gold: Gold) -> float | None:
    """`mistral_evals_explicit`, or 1.0 where an output without "answer:" contains a gold."""
    if not gold.answers:
        return None
    golds, answer = _golds(gold), final_answer(output)
    if answer:
        return _relaxed(answer, golds)
    return 1.0 if _contained(output, golds) else 0.0


def not_parsed(output: str, _gold: Gold) -> str:
    """NOT_PARSED where nothing follows an "answer:", else ""."""
    return "" if final_answer(output) else NOT_PARSED


def _golds(gold: Gold) -> tuple[str, ...]:
    return tuple(dict.fromkeys(gold_letters(gold)))


def _relaxed(answer: str, golds: Iterable[str]) -> float:
    seen = _prepared(answer)
    return max(1.0 if _is_right(seen, _prepared(target)) else 0.0 for target in golds)


def _is_right(seen: str, target: str) -> bool:
    number, percent = _number(seen)
    wanted, wanted_percent = _number(target)
    if number is not None and wanted is not None:
        if _is_near(number, wanted):
            return True
        # Where one is a percentage the other may be a share of one.
        return (percent or wanted_percent) and (
            _is_near(number / 100 if percent else number, wanted)
            or _is_near(number, wanted / 100 if wanted_percent else wanted)
        )
    if len(target) == 1 and target.isalpha() and seen:
        return seen[0].lower() == target.lower()
    return seen.lower() == target.lower()


def _is_near(number: float, wanted: float) -> bool:
    return abs(number - wanted) / max(abs(wanted), _SMALLEST) <= TOLERANCE


def _prepared(text: str) -> str:
    """Without outer quotes; a text with digits without "$", "," and punctuation at the end."""
    if any(character.isdigit() for character in text):
        return without_end_punctuation(text).replace(",", "").replace("$", "")
    if text[:1] in ("'", '"') and text.endswith(text[0]):
        return text[1:-1]
    return text


def _number(text: str) -> tuple[float | None, bool]:
    """(the number or None, whether it is a percentage)."""
    text = text.strip()
    try:
        return float(text.rstrip("%")), text.endswith("%")
    except ValueError:
        return None, False


def _contained(output: str, golds: Iterable[str]) -> bool:
    """Whether the output contains a gold: a number as such, a text after "is", "was", …

    As published, the phrases are looked for in lower case in the output as it is, and those of all
    golds count as soon as one gold is no number.
    """
    numbers = [_whole_if_it_is(gold) for gold in golds]
    if any(
        format(number, ",") in output or str(number) in output
        for number in numbers
        if number is not None
    ):
        return True
    return None in numbers and any(
        phrase.lower() in output
        for gold in golds
        for phrase in (f"is {gold}", f"was {gold}", f" {gold}.", f"are {gold}", f"\n\n{gold}")
    )


def _whole_if_it_is(text: str) -> float | None:
    """The number that the text is, as an int where it is whole; None where it is none."""
    try:
        number = float(text)
        whole = int(number)
    except (ValueError, OverflowError):
        return None
    return whole if whole == number else number
