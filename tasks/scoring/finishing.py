"""Finishes a run: answers to scores.parquet, summary.json and the record's last word.

Called after asking and before tracking; needs no engine, so it may be called at any time.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Literal

from pixtrack.configs.errors import unknown_name
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.records import Answer, Sample
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord, RunSummary
from pixtrack.tasks.runs.invocations import account_for_killed
from pixtrack.tasks.runs.opening import OpenRun
from pixtrack.tasks.scoring import METRICS, score_samples
from pixtrack.tasks.scoring.scored import ScoredRun


def finish_run(
    run: OpenRun,
    asked: int = 0,
    seconds: float = 0.0,
    engine: dict[str, Any] | None = None,
    started: str = "",
) -> RunSummary:
    """Scores what is answered and writes the run's outcome.

    `asked` questions in `seconds` by this invocation, which `started` then; `engine` is what the engine said of itself.
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
    failed = count_failed(run.samples, answers)
    answered = sum(not answer.failed for answer in answers.values())
    unanswered = len(run.samples) - answered - failed
    status, message = verdict(cell.dataset, len(run.samples), failed, unanswered)
    prompt_tokens = sum(answer.prompt_tokens for answer in answers.values())
    cached = sum(answer.cached_tokens for answer in answers.values())
    previous = directory.read_summary()
    history = previous.history if previous else []
    if previous and previous.answered == answered and scores_changed(previous, scored):
        history = [*history, past(previous, "pixtrack eval, with nothing new to ask")]
    summary = RunSummary(
        run_dir=str(directory.path),
        model=cell.model.name,
        dataset=cell.dataset.name,
        prompt=cell.prompt.name,
        n=len(run.samples),
        answered=answered,
        failed=failed,
        truncated=sum(answer.finish_reason == "length" for answer in answers.values()),
        headline=cell.dataset.headline,
        metrics=scored.metrics,
        by=scored.by,
        states=scored.states,
        figures=scored.figures,
        samples_per_s=round(asked / seconds, 3) if asked and seconds else None,
        cached_share=cached / prompt_tokens if prompt_tokens else None,
        prompt_tokens=prompt_tokens,
        output_tokens=sum(answer.output_tokens for answer in answers.values()),
        inference_seconds=sum(one["seconds"] for one in record.invocations),
        weights=cell.model.weights,
        mlflow_run_id=record.mlflow_run_id,
        status=status,
        message=message,
        metric_versions=versions(scored),
        history=history,
    )
    directory.write_summary(summary)
    record.status, record.message = summary.status, message
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


def count_failed(samples: tuple[Sample, ...], answers: dict[int, Answer]) -> int:
    """Samples that have no output to score: bad rows, refused requests, engine errors."""
    bad_rows = sum(bool(sample.error) for sample in samples)
    return bad_rows + sum(answer.failed for answer in answers.values())


def verdict(
    dataset: DatasetConfig, n: int, failed: int, unanswered: int
) -> tuple[Literal["completed", "failed"], str]:
    """(status, message) of a run: failed where too much failed or something is unanswered."""
    if unanswered > 0:
        return "failed", f"{unanswered} of {n} questions are unanswered: run the same command again"
    if n and failed / n > dataset.max_failed_fraction:
        return "failed", (
            f"{failed} of {n} samples failed, more than {dataset.name}'s max_failed_fraction "
            f"{dataset.max_failed_fraction:g}: see them with: pixtrack errors --only failed"
        )
    return "completed", f"{failed} of {n} samples failed" if failed else ""


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


def versions(scored: ScoredRun) -> dict[str, int]:
    """The version of each metric that made these numbers."""
    return {name: METRICS[name].version for name in scored.metrics}


def write_scores(run: RunDirectory, scored: ScoredRun) -> None:
    """Replaces scores.parquet, whole or not at all."""
    partial = run.scores_file.with_suffix(".partial")
    scored.table.to_parquet(partial, index=False)
    partial.replace(run.scores_file)


def scores_changed(before: RunSummary, scored: ScoredRun) -> bool:
    """Whether any value, interval, state, figure or set of metrics differs."""
    return (
        before.metrics != scored.metrics
        or before.by != scored.by
        or before.states != scored.states
        or before.figures != scored.figures
        or (bool(before.metric_versions) and before.metric_versions != versions(scored))
    )


def past(before: RunSummary, reason: str) -> dict[str, Any]:
    """The entry of a summary's history for scores that were replaced."""
    return {
        "scored": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "reason": reason,
        "metrics": {name: interval.value for name, interval in before.metrics.items()},
        "metric_versions": before.metric_versions,
    }
