"""The verdicts in words: one sentence a comparison, one for the whole report."""

from __future__ import annotations

from collections.abc import Sequence

from pixtrack.tasks.comparison.result import DatasetComparison, Difference, Outcome
from pixtrack.tasks.comparison.statistics import ALPHA


def signed(points: float) -> str:
    """+2.1, −0.3 or 0.0: a difference in points with a true minus sign."""
    text = f"{abs(points):.1f}"
    if text == "0.0":
        return text
    return f"{'+' if points > 0 else '−'}{text}"


def interval_words(low: float, high: float) -> str:
    """`0.8 to 3.4`, `−0.5 to 1.1`: in words, since a dash beside a minus sign misleads."""
    return f"{_minus(low)} to {_minus(high)}"


def p_words(p: float) -> str:
    """`p = 0.004`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def scope_words(questions: int, clusters: int, cluster: str) -> str:
    """`60 questions on 20 images`, by the name that the dataset gives its clusters."""
    if cluster == "question":
        return f"{questions:,} questions"
    return f"{questions:,} questions on {clusters:,} {plural(cluster)}"


def plural(noun: str) -> str:
    """`images` of `image`, `stories` of `story`."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return noun if noun.endswith("s") else f"{noun}s"


def outcome_of(
    difference: float, p_corrected: float | None, losses_and_wins: int, scored: bool = True
) -> Outcome:
    """What the corrected test says; `scored`: whether any common question has a score."""
    if p_corrected is None:
        return "not comparable" if scored else "not scored"
    if losses_and_wins == 0:
        return "identical"
    if p_corrected <= ALPHA:
        return "better" if difference > 0 else "worse"
    return "not shown"


def sentence(
    pair: Difference,
    run: str,
    against: str,
    dataset: str,
    comparisons: int,
    cluster: str = "image",
) -> str:
    """The verdict on one pair, run and opponent by label; `cluster` is what questions share."""
    scope = scope_words(pair.n, pair.images, cluster)
    if pair.outcome == "not scored":
        same = (
            f"{pair.same_prediction:.1%} of the {pair.answered:,} questions that both answered"
            if pair.same_prediction is not None
            else "none, as no question has an answer of both"
        )
        return (
            f"{run} and {against} have no score on {dataset}, whose golds are not published; the "
            f"same answer on {same}."
        )
    if pair.outcome == "not comparable":
        return f"{run} and {against} have no scored question of {dataset} in common."
    if pair.outcome == "identical":
        return f"{run} and {against} score the same on every question of {dataset} ({scope})."
    assert pair.p_corrected is not None
    p = p_words(pair.p_corrected)
    p += f" after Holm for {comparisons} comparisons" if comparisons > 1 else ""
    interval = (
        f"95% CI {interval_words(*pair.ci95)}"
        if pair.ci95
        else f"no interval: too few {plural(cluster)}"
    )
    if pair.outcome in ("better", "worse"):
        winner, loser = (run, against) if pair.outcome == "better" else (against, run)
        low_high = pair.ci95
        if low_high and pair.outcome == "worse":
            interval = f"95% CI {interval_words(-low_high[1], -low_high[0])}"
        points = abs(pair.difference)
        return f"{winner} beats {loser} on {dataset} by {points:.1f} points ({interval}, {p}, {scope})."
    text = (
        f"No difference between {run} and {against} that {dataset} could show: "
        f"{signed(pair.difference)} points ({interval}, {p}, {scope})."
    )
    if pair.detectable_corrected is not None:
        text += (
            f" It would show a true difference of ±{pair.detectable_corrected:.1f} points "
            "four times in five; a smaller one may still be there."
        )
    return text


def overall(datasets: Sequence[DatasetComparison]) -> str:
    """The report's first sentence: the one verdict, or how the verdicts fall."""
    pairs = [(dataset, pair) for dataset in datasets for pair in dataset.differences]
    if len(pairs) == 1:
        return pairs[0][1].sentence
    if len(datasets) == 1:
        return _one_dataset(datasets[0])
    contests: dict[tuple[str, str], list[tuple[str, Outcome]]] = {}
    for dataset, pair in pairs:
        labels = dataset.row(pair.run).label, dataset.row(pair.against).label
        contests.setdefault(labels, []).append((dataset.dataset, pair.outcome))
    return " ".join(_contest(*labels, outcomes) for labels, outcomes in contests.items())


def _one_dataset(dataset: DatasetComparison) -> str:
    """The verdicts on one dataset, those of one kind against one opponent in one sentence."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for pair in dataset.differences:
        has_outcome = pair.outcome in ("better", "worse", "not scored")
        kind: str = pair.outcome if has_outcome else "no difference"
        runs = kinds.setdefault((kind, dataset.row(pair.against).label), [])
        runs.append(dataset.row(pair.run).label)
    sentences = []
    for (kind, against), runs in kinds.items():
        names, name = listed(runs), dataset.dataset
        if kind == "better":
            sentences.append(
                f"{names} {'beats' if len(runs) == 1 else 'beat'} {against} on {name}."
            )
        elif kind == "worse":
            sentences.append(f"{against} beats {names} on {name}.")
        elif kind == "not scored":
            sentences.append(
                f"{against} and {names} have no score on {name}, whose golds are not published."
            )
        else:
            sentences.append(f"No difference that {name} could show between {against} and {names}.")
    return " ".join(sentences)


def _contest(run: str, against: str, outcomes: Sequence[tuple[str, Outcome]]) -> str:
    by = {
        name: [dataset for dataset, outcome in outcomes if outcome == name]
        for name in ("better", "worse")
    }
    unscored = [dataset for dataset, outcome in outcomes if outcome == "not scored"]
    rest = len(outcomes) - len(by["better"]) - len(by["worse"]) - len(unscored)
    parts = []
    if by["better"]:
        parts.append(f"{run} beats {against} on {listed(by['better'])}")
    if by["worse"]:
        parts.append(f"{against} beats {run} on {listed(by['worse'])}")
    if rest and rest == len(outcomes) - len(unscored):
        parts.append(f"No dataset of {rest} could show a difference between {run} and {against}")
    elif rest:
        others = "dataset shows" if rest == 1 else f"{rest} datasets show"
        parts.append(f"the other {others} no difference")
    if unscored:
        parts.append(f"{run} and {against} have no score on {listed(unscored)}")
    return f"{'; '.join(parts)}."


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _minus(value: float) -> str:
    text = f"{abs(value):.1f}"
    return f"−{text}" if value < 0 and text != "0.0" else text
