"""Finishes a run: scores its answers and writes scores.parquet, summary.json and the record.

Called after asking and before tracking. It needs no engine, so it may be called at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.configs.references import is_reference, short_name
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord, RunSummary
from pixtrack.tasks.runs.invocations import account_for_killed, note_invocation
from pixtrack.tasks.runs.opening import OpenRun, note_pages
from pixtrack.tasks.scoring import METRICS, score_samples
from pixtrack.tasks.scoring.own import digests, load
from pixtrack.tasks.scoring.scored import ScoredRun
from pixtrack.tasks.scoring.summaries import replaced_scores, scores_changed, summarise

logger = logging.getLogger(__name__)


def finish_run(run: OpenRun, asked: AskedRun | None = None) -> RunSummary:
    """Scores what is answered and writes the run's outcome; `summarise` says when it is failed.

    `asked`: what this invocation asked, which joins the run's record. Scores that differ although
    nothing was asked (another version of a metric, another configuration) replace the former ones,
    which join the summary's history.
    """
    directory, cell = run.directory, run.cell
    record = directory.read_record()
    assert record is not None, "open_run writes the record"
    asked = asked or AskedRun()
    answers = run.answers()
    dataset = with_metrics(cell.dataset, record)
    scored = score_samples(run.samples, answers, dataset, cell.prompt)
    note_invocation(record, asked)
    # A replica may have answered before the start of another failed and all were started again.
    account_for_killed(record, directory.journal_file)
    previous = directory.read_summary()
    history = previous.history if previous else []
    summary = summarise(directory, record, dataset, run.samples, answers, scored, asked, history)
    note_pages(record, answers)
    if (
        previous
        and previous.answered == summary.answered
        and scores_changed(previous, dataset, scored)
    ):
        replaced = replaced_scores(previous, "pixtrack eval, with nothing new to ask")
        summary = summary.model_copy(update={"history": [*history, replaced]})
    write_outcome(directory, record, dataset, scored, summary)
    return summary


def write_outcome(
    run: RunDirectory,
    record: RunRecord,
    dataset: DatasetConfig,
    scored: ScoredRun,
    summary: RunSummary,
) -> None:
    """Writes the scores, the summary and the record, each whole or not at all.

    The record takes status, message, metrics and headline from the others.
    """
    write_scores(run, scored)
    run.write_summary(summary)
    record.own_code = own_code(run, dataset)
    record.status, record.message = summary.status, summary.message
    record.metrics, record.headline = dataset.metrics, dataset.headline
    run.write_record(record)


def write_scores(run: RunDirectory, scored: ScoredRun) -> None:
    """Replaces scores.parquet, whole or not at all."""
    partial = run.scores_file.with_suffix(".partial")
    scored.table.to_parquet(partial, index=False)
    partial.replace(run.scores_file)


def with_metrics(
    dataset: DatasetConfig, record: RunRecord, metrics: Sequence[str] = ()
) -> DatasetConfig:
    """The dataset's configuration with the metrics that the run was scored by and `metrics` added.

    Metrics of the run that do not exist any more are left out. Raises UserError for an unknown name
    in `metrics`; of a reference in it, a relative path starts at the current folder.
    """
    check_metrics(metrics)
    had = [name for name in record.metrics if name in METRICS]
    own = [one for one in record.own_code if short_name(one) in record.metrics]
    return dataset.with_metrics((*had, *filter(_still_there, own), *metrics), Path.cwd())


def check_metrics(names: Sequence[str]) -> None:
    """Raises UserError for a name that is no metric's; references are looked at when they load."""
    for name in names:
        if not is_reference(name) and name not in METRICS:
            error = unknown_name("metric", name, METRICS)
            raise UserError(f"{error}; or name a function of your own (FILE.py:FUNCTION)")


def _still_there(reference: str) -> bool:
    """Whether the user's own metric of a former scoring can be used again; says where not."""
    try:
        load(reference)
    except UserError as error:
        logger.warning("%s; this metric of the run is left out", error)
        return False
    return True


def own_code(run: RunDirectory, dataset: DatasetConfig) -> dict[str, str]:
    """The sha256 of every file of the user's own that scored the run, by its reference."""
    prompt = run.read_prompt(dataset.name)
    metrics = [dataset.evaluators.get(name, name) for name in dataset.metrics]
    return digests((*metrics, *(prompt.postprocess if prompt else ())))
