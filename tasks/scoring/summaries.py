"""A run's summary: made in one place, whether the run was asked, imported or scored again."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.records import Answer, Sample
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord, RunSummary
from pixtrack.tasks.scoring.metrics import metric_of
from pixtrack.tasks.scoring.scored import ScoredRun


def summarise(
    run: RunDirectory,
    record: RunRecord,
    dataset: DatasetConfig,
    samples: Sequence[Sample],
    answers: Mapping[int, Answer],
    scored: ScoredRun,
    asked: tuple[int, float] = (0, 0.0),
) -> RunSummary:
    """What a run's samples, answers and scores come to; without the history of former scores.

    `asked`: how many questions this invocation asked, in how many seconds. The run counts as failed
    where more than the dataset's `max_failed_fraction` of its samples failed, or where questions
    are left unanswered.
    """
    failed = count_failed(samples, answers)
    answered = sum(not answer.failed for answer in answers.values())
    status, message = verdict(dataset, len(samples), failed, len(samples) - answered - failed)
    prompt_tokens = sum(answer.prompt_tokens for answer in answers.values())
    cached = sum(answer.cached_tokens for answer in answers.values())
    questions, seconds = asked
    return RunSummary(
        run_dir=str(run.path),
        model=record.model,
        dataset=record.dataset,
        prompt=record.prompt,
        n=len(samples),
        answered=answered,
        failed=failed,
        truncated=sum(answer.finish_reason == "length" for answer in answers.values()),
        headline=dataset.headline,
        metrics=scored.metrics,
        by=scored.by,
        states=scored.states,
        figures=scored.figures,
        samples_per_s=round(questions / seconds, 3) if questions and seconds else None,
        cached_share=cached / prompt_tokens if prompt_tokens else None,
        prompt_tokens=prompt_tokens,
        output_tokens=sum(answer.output_tokens for answer in answers.values()),
        inference_seconds=sum(one["seconds"] for one in record.invocations),
        weights=record.weights,
        mlflow_run_id=record.mlflow_run_id,
        status=status,
        message=message,
        metric_versions=versions(dataset, scored),
    )


def count_failed(samples: Sequence[Sample], answers: Mapping[int, Answer]) -> int:
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


def versions(dataset: DatasetConfig, scored: ScoredRun) -> dict[str, int]:
    """The version of each metric that made these numbers."""
    return {name: metric_of(dataset, name).version for name in scored.metrics}


def scores_changed(before: RunSummary, dataset: DatasetConfig, scored: ScoredRun) -> bool:
    """Whether any value, interval, state, figure or set of metrics differs."""
    return (
        before.metrics != scored.metrics
        or before.by != scored.by
        or before.states != scored.states
        or before.figures != scored.figures
        or (bool(before.metric_versions) and before.metric_versions != versions(dataset, scored))
    )


def past(before: RunSummary, reason: str) -> dict[str, Any]:
    """The entry of a summary's history for scores that were replaced."""
    return {
        "scored": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "reason": reason,
        "metrics": {name: interval.value for name, interval in before.metrics.items()},
        "metric_versions": before.metric_versions,
    }
