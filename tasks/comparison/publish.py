"""Writes a comparison's files and records them: the end of `pixtrack compare` and of a study."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.tasks.comparison.report import PAGE_BYTES, Written, write
from pixtrack.tasks.comparison.result import Comparison, Difference
from pixtrack.tasks.comparison.result_tables import headline_markdown
from pixtrack.tasks.tracking.recorder import Report, ReportRecorder, TrackingUnavailable


@dataclass(frozen=True)
class Published:
    """Where a comparison lies."""

    written: Written
    link: str
    """To its entry at the recorder; "" where it was not logged."""
    not_logged: str
    """Why it was not logged; "" where it was."""


def publish(
    comparison: Comparison,
    home: Home,
    out: Path | None = None,
    *,
    recorder: ReportRecorder | None,
    page_bytes: int = PAGE_BYTES,
) -> Published:
    """Writes the comparison's files and records them.

    Args:
        comparison: what to write
        home: where images are, and where the files go
        out: another folder for the files; None: comparisons/NAME in the data home
        recorder: where to record them; None: nowhere
        page_bytes: about how large the HTML page may grow

    A recorder that is away does not undo the comparison: `Published.not_logged` says why.
    """
    folder = out or home.comparisons / comparison.name
    written = write(comparison, folder, home.images, page_bytes=page_bytes)
    if recorder is None:
        return Published(written, "", "tracking is off")
    report = Report(
        comparison.name,
        written.directory,
        note=note(comparison),
        params=_params(comparison),
        metrics=_metrics(comparison),
        tags={"datasets": ", ".join(d.dataset for d in comparison.datasets)},
    )
    try:
        link = recorder.log_report(report)
    except TrackingUnavailable as error:
        return Published(written, "", str(error))
    return Published(written, link, "")


def note(comparison: Comparison) -> str:
    """The verdict and the headline table as Markdown, for places that show a short note."""
    verdicts = "\n".join(
        f"- {pair.sentence}" for dataset in comparison.datasets for pair in dataset.differences
    )
    return f"**{comparison.verdict}**\n\n{headline_markdown(comparison)}\n\n{verdicts}"


def _params(comparison: Comparison) -> dict[str, str]:
    runs = [run.name for dataset in comparison.datasets for run in dataset.runs]
    return {
        "runs": ", ".join(runs)[:500],
        "comparisons": str(comparison.comparisons),
        "failed_questions": comparison.failed_policy,
        "allowed_mismatches": ", ".join(comparison.allowed) or "none",
    }


def _metrics(comparison: Comparison) -> dict[str, float]:
    """Scores, differences and their p values, by dataset and run.

    A comparison of two runs on one dataset also has `difference`, with its interval, and `p`, by
    which such comparisons line up in one table.
    """
    found: dict[str, float] = {}
    pairs = [pair for dataset in comparison.datasets for pair in dataset.differences]
    if len(pairs) == 1:
        found |= _difference(pairs[0])
    for dataset in comparison.datasets:
        for run in dataset.runs:
            if run.score.value is not None:
                found[_metric_name(dataset.dataset, run.label)] = round(run.score.value, 2)
        for pair in dataset.differences:
            names = f"{dataset.row(pair.run).label} - {dataset.row(pair.against).label}"
            found[_metric_name(dataset.dataset, names)] = round(pair.difference, 2)
            if pair.p_corrected is not None:
                found[_metric_name(dataset.dataset, f"p of {names}")] = _two_digits(
                    pair.p_corrected
                )
    return found


def _difference(pair: Difference) -> dict[str, float]:
    """The one difference of a comparison, as the metrics that all such comparisons have."""
    found = {"difference": round(pair.difference, 2)}
    if pair.ci95:
        found["difference_ci_low"], found["difference_ci_high"] = (
            round(end, 2) for end in pair.ci95
        )
    if pair.p_corrected is not None:
        found["p"] = _two_digits(pair.p_corrected)
    return found


def _two_digits(p: float) -> float:
    """A small p value stays one: it is not rounded to 0."""
    return float(f"{p:.2g}")


def _metric_name(dataset: str, rest: str) -> str:
    """A name of the letters, digits and few marks that every tracker takes."""
    return re.sub(r"[^A-Za-z0-9_\-. /]", " ", f"{dataset}/{rest}")
