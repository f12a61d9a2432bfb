"""What a reader must know of the runs before believing their scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pixtrack.tasks.comparison.load import LoadedRun
from pixtrack.tasks.comparison.verdict import listed, plural
from pixtrack.tasks.tracking.pages import pages_text

MANY_CUT_OFF = 0.05
"""Share of answers cut off at the output limit from which a reader is warned."""


FEW_CLUSTERS = 20
"""Below so many images or documents the 95% interval covers 92% to 93% in simulation."""


def few_clusters(clusters: int, cluster: str) -> tuple[str, ...]:
    """A caution on how little so few images, or whatever `cluster` calls them, can say."""
    if clusters >= FEW_CLUSTERS:
        return ()
    return (
        f"only {clusters} {plural(cluster) if clusters != 1 else cluster}: the 95% intervals are somewhat too "
        "narrow, and only large differences can show.",
    )


def cautions(runs: Sequence[LoadedRun], labels: Mapping[str, str]) -> tuple[str, ...]:
    """One sentence a caution, naming every run that it is about by its label."""
    about: dict[str, list[str]] = {}
    for run in runs:
        for caution in _of(run):
            about.setdefault(caution, []).append(labels[run.record.name])
    return tuple(f"{listed(names)}: {caution}" for caution, names in about.items())


def _of(run: LoadedRun) -> Iterator[str]:
    record, summary = run.record, run.summary
    if record.weights == "random":
        yield "random weights, a test of the machinery; the scores are noise."
    if summary.status == "failed" or record.status != "completed":
        yield f"did not complete: {summary.message or record.message or record.status}."
    if summary.truncated > MANY_CUT_OFF * max(summary.answered, 1):
        yield (
            f"{summary.truncated:,} of {summary.answered:,} answers were cut off at the output "
            "limit; the score may say more of the limit than of the model."
        )
    if record.pages.get("questions"):
        yield pages_text(record.pages) + "."
    if record.imported_from:
        yield f"imported from {record.imported_from}; its speed is unknown."
