"""Questions about a page: their kinds, and their answers in the spellings of the real datasets."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["extractive", "counting", "comparing", "sum"]
AnswerType = Literal["text", "number", "amount", "date", "yes/no", "unanswerable"]

KINDS: tuple[Kind, ...] = ("extractive", "counting", "comparing", "sum")
UNANSWERABLE = "unanswerable"

_SHARE: dict[Kind, float] = {"extractive": 0.46, "counting": 0.16, "comparing": 0.21, "sum": 0.17}
_UNANSWERABLE_SHARE = 0.05
_ANNOTATED_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its kind, and its accepted answers, the one printed on the page first."""

    text: str
    answers: tuple[str, ...]
    kind: Kind
    answer_type: AnswerType


def extractive(
    text: str, *answers: str, answer_type: Literal["text", "number", "amount", "date"] = "text"
) -> Question:
    """A question whose answer is written on the page."""
    return Question(text, answers, "extractive", answer_type)


def unanswerable(text: str) -> Question:
    """A question that the page does not answer."""
    return Question(text, (UNANSWERABLE,), "extractive", "unanswerable")


def counting(text: str, count: int) -> Question:
    """A question for a number of things; small numbers are accepted as words too."""
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    spelled = (words[count],) if count < len(words) else ()
    return Question(text, (str(count), *spelled), "counting", "number")


def which(text: str, answer: str) -> Question:
    """A question which of several is the largest, the smallest, the earliest."""
    return Question(text, (answer,), "comparing", "text")


def whether(text: str, truth: bool) -> Question:
    """A question whether a comparison is true."""
    return Question(text, ("yes" if truth else "no",), "comparing", "yes/no")


def total(text: str, value: int, unit: str = "") -> Question:
    """A question for a sum of numbers on the page, with the unit where the page has one."""
    return Question(text, with_unit(value, unit), "sum", "number")


def with_unit(value: int, unit: str) -> tuple[str, ...]:
    """A number as the page writes it, then its other accepted spellings."""
    if not unit:
        return (str(value),)
    if unit == "%":
        return (f"{value}%", str(value), f"{value} percent")
    if unit == "$":
        return (f"${value}", str(value), f"{value} dollars")
    return (f"{value} {unit}", str(value), f"{value}{unit}")


def amount(cents: int) -> tuple[str, ...]:
    """A price as the page writes it, then without the currency sign."""
    return (f"${cents / 100:.2f}", f"{cents / 100:.2f}")


def superlatives(
    labels: Sequence[str], values: Sequence[int], highest: Sequence[str], lowest: Sequence[str]
) -> list[Question]:
    """Questions which label has the highest and the lowest value, where only one has it."""
    questions: list[Question] = []
    for phrasings, value in ((highest, max(values)), (lowest, min(values))):
        if list(values).count(value) == 1:
            label = labels[list(values).index(value)]
            questions.extend(which(text, label) for text in phrasings)
    return questions


def sample_pairs(rng: random.Random, count: int, pairs: int) -> list[tuple[int, int]]:
    """Up to `pairs` different ordered pairs of different numbers below `count`."""
    every = [(i, j) for i in range(count) for j in range(count) if i != j]
    return rng.sample(every, min(pairs, len(every)))


def threshold_counts(
    rng: random.Random,
    values: Sequence[int],
    ask: Callable[[int], str],
    *,
    count: int = 2,
    unit: int = 1,
) -> list[Question]:
    """How many values lie above a bound that none of them equals.

    The bound that is asked about is in whole `unit`s (100 where the values are cents).
    """
    questions: list[Question] = []
    low, high = min(values) // unit, max(values) // unit
    step = 10 if high > 40 else 5 if high > 15 else 1
    bounds = [bound for bound in range(low - low % step, high + 1, step) if bound > 0]
    for bound in rng.sample(bounds, min(count, len(bounds))):
        if bound * unit not in values:
            questions.append(counting(ask(bound), sum(value > bound * unit for value in values)))
    return questions


def choose(rng: random.Random, questions: Sequence[Question]) -> list[Question]:
    """Chooses two to six of a page's questions, with the sample dataset's mixture of kinds."""
    pools: dict[Kind, list[Question]] = {kind: [] for kind in KINDS}
    absent = [question for question in questions if question.answer_type == "unanswerable"]
    for question in questions:
        if question.answer_type != "unanswerable":
            pools[question.kind].append(question)
    chosen: list[Question] = []
    for _ in range(rng.randint(2, 6)):
        kinds = [kind for kind in KINDS if pools[kind]]
        if not kinds:
            break
        if absent and rng.random() < _UNANSWERABLE_SHARE:
            chosen.append(absent.pop(rng.randrange(len(absent))))
            continue
        kind = rng.choices(kinds, [_SHARE[kind] for kind in kinds])[0]
        pool = pools[kind]
        answer_type = rng.choice(sorted({question.answer_type for question in pool}))
        of_type = [question for question in pool if question.answer_type == answer_type]
        question = rng.choice(of_type)
        pool.remove(question)
        chosen.append(question)
    return [annotate(rng, question) for question in chosen]


def annotate(rng: random.Random, question: Question) -> Question:
    """Replaces the accepted spellings of some questions by answers of ten annotators.

    This is the layout of TextVQA's and VQAv2's rows. Most annotators write what the page says, up
    to four in lower case or in another accepted spelling.
    """
    if rng.random() >= _ANNOTATED_SHARE or question.answer_type == "date":
        return question
    right = question.answers[0]
    others = [right.lower(), *question.answers[1:]]
    minority = rng.randint(0, 4)
    answers = [right] * (10 - minority)
    for _ in range(minority):
        answers.append(rng.choice(others))
    return Question(question.text, tuple(answers), question.kind, question.answer_type)
