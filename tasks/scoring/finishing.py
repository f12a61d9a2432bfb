"""Finishes a run: answers to scores.parquet, summary.json and the record's last word.

Called after asking and before tracking; needs no engine, so it may be called at any time.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from pixtrack.configs.errors import unknown_name
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord, RunSummary
from pixtrack.tasks.runs.invocations import account_for_killed
from pixtrack.tasks.runs.opening import OpenRun
from pixtrack.tasks.scoring import METRICS, score_samples
from pixtrack.tasks.scoring.scored import ScoredRun
from pixtrack.tasks.scoring.summaries import past, scores_changed, summarise


def finish_run(
    run: OpenRun,
    asked: int = 0,
    seconds: float = 0.0,
    engine: dict[str, Any] | None = None,
    started: str = "",
) -> RunSummary:
    """Scores what is answered and writes the run's outcome.

    `asked` questions in `seconds` by this invocation, which `started` then; `engine` is what the
    engine said of itself.
    The run counts as failed where more than the dataset's `max_failed_fraction` of its samples
    failed, or where questions are left unanswered.
    """
    directory, cell = run.directory, run.cell
    record = directory.read_record()
    assert record is not None, "open_run writes the record"
    answers = run.answers()
    dataset = wanted_metrics(cell.dataset, record, ())
    scored = score_samples(run.samples, answers, dataset, cell.prompt)
    write_scores(directory, scored)

    note_invocation(record, asked, seconds, engine, started)
    # A replica may have answered before another one's start failed and all were started anew.
    account_for_killed(record, directory.journal_file)
    previous = directory.read_summary()
    summary = summarise(directory, record, dataset, run.samples, answers, scored, (asked, seconds))
    history = previous.history if previous else []
    if (
        previous
        and previous.answered == summary.answered
        and scores_changed(previous, dataset, scored)
    ):
        history = [*history, past(previous, "pixtrack eval, with nothing new to ask")]
    summary = summary.model_copy(update={"history": history})
    directory.write_summary(summary)
    record.status, record.message = summary.status, summary.message
    record.metrics, record.headline = dataset.metrics, dataset.headline
    directory.write_record(record)
    return summary


def note_invocation(
    record: RunRecord,
    asked: int,
    seconds: float,
    engine: dict[str, Any] | None,
    started: str = "",
) -> None:
    """Adds this invocation to the record, where it asked anything."""
    if engine:
        record.engine = engine
    if asked:
        record.invocations.append(
            {
                **({"started": started} if started else {}),
                "ended": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "asked": asked,
                "seconds": round(seconds, 3),
            }
        )


def wanted_metrics(
    dataset: DatasetConfig, record: RunRecord, metrics: Sequence[str]
) -> DatasetConfig:
    """The dataset's configuration with the run's and the given metrics added to its own."""
    for name in metrics:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
    had = [name for name in record.metrics if name in METRICS]
    names = tuple(dict.fromkeys((*dataset.metrics, *had, *metrics)))
    return dataset.model_copy(update={"metrics": names})


def write_scores(run: RunDirectory, scored: ScoredRun) -> None:
    """Replaces scores.parquet, whole or not at all."""
    partial = run.scores_file.with_suffix(".partial")
    scored.table.to_parquet(partial, index=False)
    partial.replace(run.scores_file)
