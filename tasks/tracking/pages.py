"""What a run looks like to a reader: its page in words, and its tables.

Pure functions of the run's files, like `content`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from pixtrack.tasks.runs.directory import Interval
from pixtrack.tasks.runs.requests import letters
from pixtrack.tasks.runs.selection import scope_words
from pixtrack.tasks.scoring.beside import lines_beside
from pixtrack.tasks.tracking.content import RunContent


def interval_text(interval: Interval | None) -> str:
    """`84.2 (95% CI 83.1 to 85.3)`, or what is missing."""
    if interval is None or interval.value is None:
        return "not scored"
    text = f"{interval.value:.1f}"
    if interval.ci95:
        low, high = interval.ci95
        return f"{text} (95% CI {low:.1f} to {high:.1f})"
    return f"{text} (no interval: too few images)"


def pages_text(pages: Mapping[str, Any]) -> str:
    """Which pages a run's prompts did not show, in words: `RunRecord.pages`."""
    which = "the first ones" if pages["choice"] == "first" else "ones at even distances"
    return (
        f"{pages['questions']:,} questions were shown {which} of their images "
        f"(at most {pages['most']}, and what fits max_model_len); "
        f"{pages['images']:,} images were left out"
    )


def description(content: RunContent, links: Mapping[str, str] | None = None) -> str:
    """The run's page in words: the verdict first, then what to know before trusting it."""
    record, summary = content.record, content.summary
    links = links or {}
    if summary is None:
        head = f"**{record.status}**: no scores."
        return "\n\n".join(part for part in (head, record.message) if part)
    caveat = ", random weights" if summary.weights == "random" else ""
    lines = [
        f"## {summary.headline} {interval_text(summary.metrics.get(summary.headline))}{caveat}",
        f"{content.run_name} on `{record.dataset}`: {summary.answered:,} of {summary.n:,} questions "
        f"answered, {summary.failed:,} failed, {summary.truncated:,} cut off at the token limit.",
    ]
    if summary.without_gold:
        lines.append(
            f"{summary.without_gold:,} of the answers have no score: their golds are not published. "
            "They can be compared with other runs' answers, and exported for the competition."
        )
    if record.pages.get("questions"):
        lines.append(f"Pages: {pages_text(record.pages)}.")
    if summary.weights == "random":
        lines.append("The weights are random: these scores test the machinery, not a model.")
    if record.imported_from:
        lines.append(f"Imported from `{record.imported_from}`; not asked by pixtrack.")
    if scope := scope_words(record.limit, record.selection):
        lines.append(
            f"Not all questions ({scope}): not comparable with full runs, not on the leaderboard."
        )
    if summary.history:
        last = summary.history[-1]
        was = last.get("metrics", {}).get(summary.headline)
        if was is not None:
            lines.append(f"Rescored {last.get('scored', '')}: {summary.headline} was {was:.1f}.")
    if links:
        titles = {
            "charts": "all runs of this dataset as charts",
            "table": "question by question, beside other runs",
            "traces": "worst answers, and some others, with their images",
            "leaderboard": "leaderboard over datasets",
        }
        shown = [f"[{titles[key]}]({links[key]})" for key in titles if key in links]
        lines.insert(2, " · ".join(shown))  # above the fold, which MLflow draws after a few lines
    rows = [
        f"| {name} | {interval_text(interval)} | {interval.n:,} |"
        for name, interval in summary.metrics.items()
    ]
    lines.append("\n".join(["| metric (0-100) | value | questions |", "|---|---|---|", *rows]))
    beside = [f"- {line}" for line in lines_beside(summary.states, summary.figures)]
    if beside:
        lines.append("\n".join(beside))
    lines.append(f"Run directory: `{content.run.path}`")
    return "\n\n".join(lines)


QUESTION_COLUMN = "question and gold"
ANSWER_COLUMN = "prediction and score"


def predictions(content: RunContent) -> dict[str, Any] | None:
    """The per-question table as MLflow's split-orient JSON: {"columns": […], "data": [[…], …]}.

    MLflow's compare view opens with the first column, by which it lines runs up, and the second,
    which it compares. So the first has the question and its golds, and is unique by its id (the
    source's, or the row's index where the source repeats its ids: ChartQA's are all -1); the second
    has the prediction and its score. Each of these also has a column of its own.
    """
    scores = content.scores
    if scores is None:
        return None
    unique = scores["question_id"].is_unique
    key = scores["question_id"] if unique else scores["index"]
    names = [name for name in content.metric_names if name in scores.columns]
    golds = scores["answers"].map(golds_text)
    scored = scores[names[0]] if names else pd.Series(float("nan"), scores.index)
    table = pd.DataFrame(
        {
            QUESTION_COLUMN: [
                f"{question}\ngold: {gold or 'not published'}\n({one})"
                for question, gold, one in zip(scores["question"], golds, key, strict=True)
            ],
            ANSWER_COLUMN: [
                f"{'' if pd.isna(said) else said}\nscore: {'none' if pd.isna(got) else f'{got:.3g}'}"
                for said, got in zip(scores["prediction"], scored, strict=True)
            ],
            "question_id": key.astype(str),
            "prediction": scores["prediction"],
            "score": scores[names[0]] if names else None,
            "targets": golds,
            "question": scores["question"],
            **(
                {"options": scores["options"].map(options_text)}
                if "options" in scores and scores["options"].map(len).any()
                else {}
            ),
            "raw_output": scores["output"],
            "finish_reason": scores["finish_reason"],
            "error": scores["error"],
            "question_type": scores["question_type"],
            "answer_type": scores["answer_type"],
            "image": scores["images"].map(", ".join)
            if "images" in scores
            else scores["image_path"],
            **{name: scores[name] for name in names[1:]},
            "output_tokens": scores["output_tokens"],
            "seconds": scores["seconds"],
        }
    )
    return {
        "columns": list(table.columns),
        "data": [[_plain(cell) for cell in row] for row in table.itertuples(index=False)],
    }


def breakdowns(content: RunContent) -> dict[str, Any] | None:
    """The summary's breakdowns as one table: breakdown, group, metric, value, interval, n."""
    if content.summary is None or not content.summary.by:
        return None
    rows = [
        [f"{breakdown}: {group}", metric, one.value, *(one.ci95 or (None, None)), one.n]
        for breakdown, groups in content.summary.by.items()
        for group, values in groups.items()
        for metric, one in values.items()
        if metric == content.summary.headline
    ]
    return {"columns": ["group", "metric", "value", "ci_low", "ci_high", "n"], "data": rows}


def golds_text(answers: Any) -> str:
    """Accepted answers in one cell: each spelling once, in order of their first appearance."""
    return " | ".join(dict.fromkeys(str(answer) for answer in answers))


def options_text(options: Any) -> str:
    """The options of a question in one cell, each behind its letter; "" where there are none."""
    texts = [] if options is None else [str(option) for option in options]
    return " | ".join(
        f"{letter}. {text}" for letter, text in zip(letters(len(texts)), texts, strict=True)
    )


def _plain(cell: Any) -> Any:
    """A cell as JSON has it; NaN and missing values become null."""
    if cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return cell.item() if hasattr(cell, "item") else cell
