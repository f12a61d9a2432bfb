"""The comparison as Markdown (for a README or paper) and as rows for CSV files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pixtrack.tasks.comparison.result import Comparison, DatasetComparison, Difference, RunRow
from pixtrack.tasks.comparison.verdict import interval_words, p_words, scope_words, signed
from pixtrack.tasks.runs.directory import Interval

BREAKDOWN_TITLES = {
    "question_type": "Question type",
    "answer_type": "Answer type",
    "image_size": "Image size",
    "answer_length": "Length of the gold answer",
}
OUTCOME_WORDS = {
    "better": "better",
    "worse": "worse",
    "not shown": "no difference shown",
    "identical": "identical",
    "not comparable": "not comparable",
    "not scored": "not scored",
}


def score_words(interval: Interval) -> str:
    """`84.2 (83.1 to 85.3)`, `84.2`, or `–` where nothing is scored."""
    if interval.value is None:
        return "–"
    if interval.ci95 is None:
        return f"{interval.value:.1f}"
    return f"{interval.value:.1f} ({interval_words(*interval.ci95)})"


def difference_words(pair: Difference) -> str:
    """`+2.1 (0.8 to 3.4)`."""
    interval = f" ({interval_words(*pair.ci95)})" if pair.ci95 else ""
    return f"{signed(pair.difference)}{interval}"


def headline_markdown(comparison: Comparison) -> str:
    """Models down, datasets across: the one table that a README or paper quotes."""
    datasets = comparison.datasets
    labels = list(dict.fromkeys(run.label for dataset in datasets for run in dataset.runs))
    header = ["Model", *(f"{d.dataset} ({d.metric_title})" for d in datasets)]
    best = {d.dataset: _best(d) for d in datasets}
    rows = []
    for label in labels:
        cells = [_escape(label)]
        for dataset in datasets:
            run = next((run for run in dataset.runs if run.label == label), None)
            words = score_words(run.score) if run else ""
            cells.append(f"**{words}**" if run and run.key == best[dataset.dataset] else words)
        rows.append(cells)
    return _markdown(header, rows)


def markdown(comparison: Comparison) -> str:
    """The whole comparison as Markdown, verdict first."""
    parts = [f"# {comparison.title or 'Comparison'}", f"**{_escape(comparison.verdict)}**"]
    parts.append(headline_markdown(comparison))
    parts.append(
        f"Scores with their 95% intervals, clustered by {clusters_words(comparison)}."
        + (
            " Bold: highest, and better than the next by the paired test."
            if any(_best(dataset) for dataset in comparison.datasets)
            else ""
        )
    )
    for dataset in comparison.datasets:
        parts += _dataset_markdown(comparison, dataset)
    parts.append(method(comparison))
    return "\n\n".join(parts) + "\n"


def method(comparison: Comparison) -> str:
    """How the figures were made, in a paragraph."""
    failed = (
        "dropped from each pair of which one failed on it"
        if comparison.failed_policy == "drop"
        else "scored 0"
    )
    n, clusters = comparison.comparisons, clusters_words(comparison)
    return (
        f"Differences are paired on the same questions; intervals are clustered by {clusters} (CR1, "
        "t quantile) and not corrected; p-values are of a permutation test that flips signs by "
        f"{clusters}, Holm-corrected over {n} comparison{'s' if n != 1 else ''}. A failed question is "
        f"{failed}. A cut-off answer counts as it was scored."
    )


def clusters_words(comparison: Comparison) -> str:
    """What errors are clustered by, over all datasets: `image`, or `image or document`."""
    return " or ".join(dict.fromkeys(dataset.cluster for dataset in comparison.datasets))


def speed_words(run: RunRow) -> tuple[str, str]:
    """Questions a second, and device-seconds per 1,000 questions with the device's name."""
    speed = run.speed
    if speed.samples_per_s is None or speed.device_seconds_per_1000 is None:
        return "–", "–"
    unit = "CPU" if speed.device == "cpu" else "GPU"
    count = f" × {speed.devices}" if speed.devices > 1 else ""
    rate = (
        f"{speed.samples_per_s:.2f}" if speed.samples_per_s < 10 else f"{speed.samples_per_s:.1f}"
    )
    return rate, f"{speed.device_seconds_per_1000:,.0f} {unit}-s{count}"


def _best(dataset: DatasetComparison) -> str:
    """The leader's key, where the test against the next (or its baseline) backs it; else ""."""
    if len(dataset.runs) < 2:
        return ""
    first, second = dataset.runs[0].key, dataset.runs[1].key
    for pair in dataset.differences:
        if {pair.run, pair.against} == {first, second} and pair.outcome in ("better", "worse"):
            return first
    return ""


def _dataset_markdown(comparison: Comparison, dataset: DatasetComparison) -> list[str]:
    parts = [
        f"## {_escape(dataset.title)}",
        f"`{dataset.dataset}`, {dataset.metric_title}, "
        f"{scope_words(dataset.questions, dataset.images, dataset.cluster)}.",
    ]
    if dataset.differences:
        parts.append("\n".join(f"- {_escape(pair.sentence)}" for pair in dataset.differences))
    header = ["Run", dataset.metric_title, "Failed", "Cut off", "Questions/s", "Per 1,000"]
    rows = [
        [
            _escape(run.label),
            score_words(run.score),
            str(run.failed),
            str(run.truncated),
            *speed_words(run),
        ]
        for run in dataset.runs
    ]
    parts.append(_markdown(header, rows))
    beside = [
        f"- {_escape(run.label)}: {_escape(line)}" for run in dataset.runs for line in run.beside
    ]
    if beside:
        parts.append("\n".join(beside))
    if dataset.differences:
        header = ["Difference", "Points", "p (Holm)", "Won / tied / lost", "Could show", "Kappa"]
        parts.append(
            _markdown(
                header,
                [
                    [
                        _escape(f"{dataset.row(p.run).label} − {dataset.row(p.against).label}"),
                        difference_words(p) if p.n else "–",
                        p_words(p.p_corrected).removeprefix("p ").removeprefix("= ")
                        if p.p_corrected is not None
                        else "–",
                        f"{p.wins:,} / {p.ties:,} / {p.losses:,}",
                        f"±{p.detectable_corrected:.1f}" if p.detectable_corrected else "–",
                        f"{p.kappa:.2f}" if p.kappa is not None else "–",
                    ]
                    for p in dataset.differences
                ],
            )
        )
    parts += [
        text
        for pair in dataset.differences
        if (text := left_out_words(pair, dataset, comparison.failed_policy))
    ]
    if dataset.published:
        parts.append("Published by others, under their own prompts and code; not measured here:")
        parts.append(
            _markdown(
                ["Model", "Metric", "By", "Score"],
                [
                    [
                        _escape(p.model),
                        _escape(p.metric),
                        _escape(p.by + (f" ({p.note})" if p.note else "")),
                        f"{p.value:.1f}",
                    ]
                    for p in dataset.published
                ],
                text_columns=3,
            )
        )
    if dataset.notes:
        parts.append("\n".join(f"> {_escape(note)}" for note in dataset.notes))
    return parts


def left_out_words(pair: Difference, dataset: DatasetComparison, policy: str) -> str:
    """What failed questions did to a difference; "" where none failed."""
    if pair.failed_scored_zero is None:
        return ""
    names = f"{dataset.row(pair.run).label} − {dataset.row(pair.against).label}"
    if policy == "drop":
        return (
            f"{names}: {pair.left_out:,} questions left out since one of the two has no score; "
            f"with failed questions scored 0 the difference would be "
            f"{signed(pair.failed_scored_zero)}."
        )
    return (
        f"{names}: failed questions are scored 0; left out of the pair instead, the difference "
        f"would be {signed(pair.failed_scored_zero)}."
    )


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """A table; the columns after the first `text_columns` are right-aligned."""
    rule = ["---"] * text_columns + ["---:"] * (len(header) - text_columns)
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, rule, *rows])


def _escape(text: str) -> str:
    """Text from configs and imports, kept from breaking a table or becoming markup."""
    text = re.sub(r"([\\|*`])", r"\\\1", text.replace("\n", " "))
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
