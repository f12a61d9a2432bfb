"""The scores of the DAM-QA evaluator, to compare with numbers that people already have from it.

Source: Linvyl/DAM-QA `evaluation/metrics.py` (arXiv 2507.12441). It scores each dataset its own
way, and each way differs from the official metric: "the answer is" and final periods are taken
off a prediction, ANLS ignores punctuation and reads number words as digits, VQA accuracy is
matches / 3 rather than the mean over leave-one-out subsets, and ChartQAPro leaves conversations
out.

`damqa` applies its functions to the golds as the annotation files have them. Its command line
takes the golds from the CSV files of `vlms/run_inference.py`, through `literal_eval`: there a
ChartQA gold that looks like a list, "[2014, 2016]", is one, and any of its items counts; and
ChartQAPro's list of golds is one string. `damqa_csv` reproduces that; the two differ in ten of
ChartQA's human questions and four of ChartQAPro's.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rapidfuzz.distance import Levenshtein

from pixtrack.tasks.literals import read_list, read_literal
from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring import list_literals, vqa_answers
from pixtrack.tasks.scoring.chartqapro import CONVERSATIONAL, EXACT_TYPES
from pixtrack.tasks.scoring.metric import ScoreFunction

TOLERANCE = 0.05
ANLS_THRESHOLD = 0.5

# Its list of marks names "}" twice and "{" never.
_MARKS = ';/[]"}()=+\\_-><@`,?!'
_PERIOD = re.compile(r"(?!<=\d)(\.)(?!\d)")
_ANLS_MARKS = re.compile(r"[.,;:!?\"'\[\](){}]")
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(vqa_answers.NUMBER_WORDS)})\b")

# The official table without the keys that have an apostrophe and eight more, and with seven of
# its own (all words are lower-cased here).
_CONTRACTIONS = {
    key: value
    for key, value in vqa_answers.CONTRACTIONS.items()
    if "'" not in key
    and key not in {"howd", "howll", "hows", "Im", "Ive", "whyll", "whyre", "whys"}
} | {
    "im": "i'm",
    "ive": "i've",
    "lets": "let's",
    "shed": "she'd",
    "shes": "she's",
    "somebodyd": "somebody'd",
    "wed": "we'd",
}


def relaxed_accuracy(prediction: str, gold: Gold) -> float | None:
    """ChartQA: any gold within 5%, or equal but for case and outer blanks; None without a gold."""
    return _relaxed_accuracy(prediction, gold.answers) if gold.answers else None


def relaxed_accuracy_csv(prediction: str, gold: Gold) -> float | None:
    """`relaxed_accuracy` with the golds read back from a CSV file."""
    targets = tuple(target for raw in gold.answers for target in _from_csv(raw))
    return _relaxed_accuracy(prediction, targets) if gold.answers else None


def _relaxed_accuracy(prediction: str, targets: tuple[str, ...]) -> float:
    answer = _without_preamble(prediction)
    number, text = _number(answer), answer.lower().strip()
    return 1.0 if any(_is_right(number, text, target) for target in targets) else 0.0


def anls(prediction: str, gold: Gold) -> float | None:
    """DocVQA, InfographicVQA: ANLS without punctuation, number words as digits."""
    if not gold.answers:
        return None
    answer = _plain(_without_preamble(prediction))
    return max(_similarity(answer, _plain_gold(target)) for target in gold.answers)


def vqa_accuracy(prediction: str, gold: Gold) -> float | None:
    """TextVQA, VQAv2: min(1, matches / 3) over all annotators."""
    if not gold.answers:
        return None
    answer = _normalise(_without_preamble(prediction))
    matches = sum(answer == target for target in _annotators(gold.answers))
    return min(1.0, matches / 3.0)


def chartqapro(prediction: str, gold: Gold) -> float | None:
    """ChartQAPro: exact for Fact Checking and Multi Choice; None for a conversation."""
    return _chartqapro(prediction, gold, gold.answers[0]) if gold.answers else None


def chartqapro_csv(prediction: str, gold: Gold) -> float | None:
    """`chartqapro` with the golds read back from a CSV file: their list as one string."""
    return _chartqapro(prediction, gold, str(list(gold.answers))) if gold.answers else None


def _chartqapro(prediction: str, gold: Gold, target: str) -> float | None:
    if gold.question_type == CONVERSATIONAL:
        return None
    exactly = gold.question_type in EXACT_TYPES
    targets = _chartqapro_targets(target)
    seen = list_literals.items(prediction.strip(".\n"))
    flags = gold.flags
    if flags and len(flags) < len(targets):
        flags = flags * len(targets)
    scores = []
    for position, (given, target) in enumerate(zip(seen, targets, strict=False)):
        if exactly or (flags and flags[position].upper() == "YES"):
            scores.append(1.0 if given.strip().lower() == target.strip().lower() else 0.0)
        else:
            scores.append(_item_score(given, target))
    return sum(scores) / max(len(seen), len(targets))


def needs_dataset(_prediction: str, _gold: Gold) -> float | None:
    """What is called where nobody said which dataset it is."""
    raise ValueError("this metric scores each dataset its own way: use Metric.for_dataset")


BY_HEADLINE: dict[str, ScoreFunction] = {
    "relaxed_accuracy": relaxed_accuracy,
    "anls": anls,
    "vqa_accuracy": vqa_accuracy,
    "vqa_accuracy_m4c": vqa_accuracy,
    "vqa_accuracy_normalised": vqa_accuracy,
    "chartqapro": chartqapro,
    "chartqapro_exact": chartqapro,
}
BY_HEADLINE_CSV: dict[str, ScoreFunction] = {
    **BY_HEADLINE,
    "relaxed_accuracy": relaxed_accuracy_csv,
    "chartqapro": chartqapro_csv,
    "chartqapro_exact": chartqapro_csv,
}


def _without_preamble(prediction: str) -> str:
    answer = prediction.replace("the answer is", "").replace("The answer is", "")
    return answer.rstrip(".").strip()


def _is_right(number: float | None, text: str, target: str) -> bool:
    """Whether an answer, as a number if it is one and as text, is the target."""
    target_number = _number(target)
    if number is not None and target_number:
        return abs(number - target_number) / abs(target_number) <= TOLERANCE
    return text == target.lower().strip()


def _number(text: str) -> float | None:
    text = text.strip()
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None


@lru_cache(maxsize=1 << 14)
def _from_csv(raw: str) -> tuple[str, ...]:
    """A gold as it comes out of the CSV file: a Python literal where it looks like one."""
    items = read_list(raw)
    if items is not None:
        return items
    try:
        return (str(read_literal(raw)),)
    except ValueError:  # no literal: as published, the text itself
        return (raw,)


def _plain(text: str) -> str:
    text = _ANLS_MARKS.sub("", re.sub(r"\s+", " ", text.lower().strip()))
    return _NUMBER_WORD.sub(lambda match: vqa_answers.NUMBER_WORDS[match.group()], text)


@lru_cache(maxsize=1 << 15)
def _plain_gold(text: str) -> str:
    return _plain(text)


def _similarity(prediction: str, target: str) -> float:
    """Of two plain texts; 0 under the threshold, and for two empty ones."""
    longer = max(len(prediction), len(target))
    if not longer:
        return 0.0
    distance = Levenshtein.distance(prediction, target, score_cutoff=longer // 2)
    similarity = 1.0 - distance / longer
    return similarity if similarity >= ANLS_THRESHOLD else 0.0


@lru_cache(maxsize=1 << 15)
def _annotators(answers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_normalise(answer) for answer in answers)


@lru_cache(maxsize=1 << 16)
def _normalise(answer: str) -> str:
    """The VQA normaliser with differences: the tables above, and three more.

    A single character stays as it is, each mark looks at the text that the marks before it have
    left, and any number of periods goes.
    """
    if len(answer) == 1:
        return answer.lower()
    for mark in _MARKS:
        if mark not in answer:
            continue
        touching = f"{mark} " in answer or f" {mark}" in answer
        deleted = touching or vqa_answers.COMMA_IN_NUMBER.search(answer) is not None
        answer = answer.replace(mark, "" if deleted else " ")
    words = _PERIOD.sub("", answer).lower().split()
    expanded = (_CONTRACTIONS.get(word, word) for word in words if word not in vqa_answers.ARTICLES)
    return " ".join(vqa_answers.NUMBER_WORDS.get(word, word) for word in expanded)


@lru_cache(maxsize=1 << 12)
def _chartqapro_targets(target: str) -> tuple[str, ...]:
    return list_literals.target_items(target.strip(".\n"))


def _item_score(given: str, target: str) -> float:
    target, given = target.strip().strip("%"), given.strip().strip("%")
    target_number, number = _percent_number(target), _percent_number(given)
    if target_number is not None and number is not None:
        if target_number == 0.0:
            return 1.0 if number == 0.0 else 0.0
        return 1.0 if abs(number - target_number) / abs(target_number) <= TOLERANCE else 0.0
    return _similarity(_plain(given), _plain_gold(target))


def _percent_number(text: str) -> float | None:
    try:
        return float(text.strip().strip("%"))
    except ValueError:
        return None
