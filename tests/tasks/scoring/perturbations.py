"""Ways to make a prediction of a row's golds: each a promise that a metric keeps or breaks.

Deterministic, so that the published code's scores of the same predictions can be kept as figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pixtrack.tasks.scoring.vqa_answers import NUMBER_WORDS

Perturbation = Callable[[Sequence[str], str, int], str]
"""(golds, another row's gold, index) to a prediction."""

_DIGIT_WORDS = {digit: word for word, digit in NUMBER_WORDS.items()}


def majority(golds: Sequence[str]) -> str:
    return max(dict.fromkeys(golds), key=list(golds).count)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_middle(text: str) -> str:
    return text[: len(text) // 2] + text[len(text) // 2 + 1 :]


def _half(text: str) -> str:
    return text[: (len(text) + 1) // 2]


def _five_percent_more(text: str) -> str:
    return repr(float(text) * 1.05) if is_number(text) else text + "s"


def _thousands(text: str) -> str:
    return f"{int(text):,}" if text.isascii() and text.isdigit() else text.replace(" ", ", ")


PERTURBATIONS: dict[str, Perturbation] = {
    "first": lambda golds, other, i: golds[0],
    "last": lambda golds, other, i: golds[-1],
    "majority": lambda golds, other, i: majority(golds),
    "capitalised": lambda golds, other, i: majority(golds).capitalize(),
    "capitalised, period": lambda golds, other, i: majority(golds).capitalize() + ".",
    "first, period": lambda golds, other, i: golds[0] + ".",
    "first, sentence": lambda golds, other, i: "The answer is " + golds[0],
    "last, period": lambda golds, other, i: golds[-1] + ".",
    "percent": lambda golds, other, i: golds[0] + "%" if is_number(golds[0]) else golds[0],
    "five percent more": lambda golds, other, i: _five_percent_more(golds[-1]),
    "thousands": lambda golds, other, i: _thousands(majority(golds)),
    "words for digits": lambda golds, other, i: _DIGIT_WORDS.get(majority(golds), "the a an"),
    "unanswerable": lambda golds, other, i: "Unanswerable",
    "empty": lambda golds, other, i: "",
    "another row's": lambda golds, other, i: other,
    "one letter lost": lambda golds, other, i: _without_middle(majority(golds)),
    "half": lambda golds, other, i: _half(golds[-1]),
    "padded": lambda golds, other, i: f" {majority(golds)}\t\n" if i % 2 else majority(golds) * 2,
    "quoted": lambda golds, other, i: repr(golds[-1]) + ("!" if i % 3 else ""),
    "list": lambda golds, other, i: repr([golds[-1], other]) if i % 2 else repr([golds[-1]]),
    "items": lambda golds, other, i: repr(
        [x.strip(" '") for x in golds[-1].strip("[]").split(",")]
    ),
    "punctuated": lambda golds, other, i: majority(golds).replace(
        " ", (" -", ",", ";", "'s ")[i % 4]
    ),
    "no apostrophe": lambda golds, other, i: majority(golds).replace("'", "") + " dont",
}
