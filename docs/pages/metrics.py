"""Every metric: what it does in its own words, who uses it, and what it makes of some answers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from docs.pages.markdown import code, table, text
from pixtrack.configs.loading import load_all
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring.metric import Metric, ScoreFunction
from pixtrack.tasks.scoring.metrics import METRICS, metric_of
from pixtrack.tasks.scoring.postprocess import STEPS

_TEN = ("stop",) * 3 + ("STOP",) * 3 + ("stop sign",) * 4
_CHOICE = Gold(("B",), question_type="Multi Choice", options=("red", "blue", "green"))

EXAMPLES: tuple[tuple[str, Gold], ...] = (
    ("42", Gold(("42",))),
    ("40.5", Gold(("42",))),
    ("The answer is 42.", Gold(("42",))),
    ("Answer: 42", Gold(("42",))),
    ("jon  smith", Gold(("John Smith",))),
    ("Smith", Gold(("John Smith", "J. Smith"))),
    ("12%", Gold(("12",))),
    ("stop", Gold(_TEN)),
    ("a stop sign", Gold(_TEN)),
    ("B", _CHOICE),
    ("(B) blue", _CHOICE),
    ("blue", _CHOICE),
    ("", Gold(("42",))),
)
"""One set of answers for every metric, so that what differs between two is the metric."""


def functions(metric: Metric) -> Mapping[str, ScoreFunction]:
    """What scores: one function, or one for each headline that a dataset may have."""
    return metric.function_by_headline or {"": metric.function}


def page() -> str:
    """A section for each metric, then the post-processing steps."""
    found, _ = load_all(DatasetConfig)
    parts = [
        "# Metrics\n\nPublic implementations of the same metric differ by tens of points on the same"
        " answers, so each has a name of its own and says whose it is. The scores below are"
        " computed by the code when this page is built, from 0 to 1.\n"
    ]
    for name, metric in METRICS.items():
        users = [one for one in found if any(metric_of(one, m).name == name for m in one.metrics)]
        shown = ", ".join(
            code(one.name) + " (headline)" * (metric_of(one, one.headline).name == name)
            for one in users
        )
        parts.append(
            f"## {name}\n\n**{text(metric.title)}**, version {metric.version}."
            f" Source: {text(metric.source)}. Used by: {shown or 'no shipped dataset'}.\n"
        )
        for headline, function in functions(metric).items():
            if headline:
                parts.append(f"Where the headline is {code(headline)}:\n")
            parts.append(f"{inspect.cleandoc(function.__doc__ or '')}\n")
            parts.append(table(("prediction", "golds", "score"), _scores(function)))
        if metric.figures:
            parts.append(f"Beside the score: {', '.join(map(text, metric.figures))}.\n")
    parts.append(
        "## Post-processing\n\nSteps that a prompt may list, from raw output to prediction.\n"
    )
    rows = [
        (code(name), text((step.__doc__ or "").partition("\n")[0])) for name, step in STEPS.items()
    ]
    parts.append(table(("step", "what is left"), rows))
    return "\n".join(parts)


def _scores(function: ScoreFunction) -> list[tuple[str, str, str]]:
    rows = []
    for prediction, gold in EXAMPLES:
        score = function(prediction, gold)
        if score is not None:
            rows.append((code(prediction) or "(empty)", _golds(gold), f"{score:.3g}"))
    return rows


def _golds(gold: Gold) -> str:
    counts = {answer: gold.answers.count(answer) for answer in gold.answers}
    said = ", ".join(code(answer) + f" ×{times}" * (times > 1) for answer, times in counts.items())
    return said + (f" of {', '.join(map(code, gold.options))}" if gold.options else "")
