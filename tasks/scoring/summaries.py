"""A run's summary: made in one place, whether the run was asked, imported or scored again."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.records import Answer, Sample
from pixtrack.tasks.runs.asked import AskedRun
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
    asked: AskedRun | None = None,
    history: Sequence[dict[str, Any]] = (),
) -> RunSummary:
    """The summary of a run's samples, answers and scores.

    The run counts as failed where more than the dataset's `max_failed_fraction` of its samples
    failed, or where questions are left unanswered.

    Args:
        run: where the run lies
        record: its record; the time that its invocations took is added up
        dataset: its dataset, with the metrics that it was scored by
        samples: what it was asked
        answers: by sample index
        scored: the scores of these answers
        asked: what this invocation asked; None where it asked nothing
        history: scores that were replaced before, see `replaced_scores`
    """
    failed = count_failed(samples, answers)
    answered = sum(not answer.failed for answer in answers.values())
    status, message = run_status(dataset, len(samples), failed, len(samples) - answered - failed)
    prompt_tokens = sum(answer.prompt_tokens for answer in answers.values())
    cached = sum(answer.cached_tokens for answer in answers.values())
    asked = asked or AskedRun()
    return RunSummary(
        run_dir=str(run.path),
        model=record.model,
        dataset=record.dataset,
        prompt=record.prompt,
        n=len(samples),
        answered=answered,
        failed=failed,
        refused=sum(answer.finish_reason == "refused" for answer in answers.values()),
        truncated=sum(answer.finish_reason == "length" for answer in answers.values()),
        asked_twice=asked.asked_twice,
        samples_per_s=round(asked.asked / asked.seconds, 3)
        if asked.asked and asked.seconds
        else None,
        without_gold=sum(
            not sample.answers and not answers[sample.index].failed
            for sample in samples
            if sample.index in answers
        ),
        cached_share=cached / prompt_tokens if prompt_tokens else None,
        prompt_tokens=prompt_tokens,
        output_tokens=sum(answer.output_tokens for answer in answers.values()),
        inference_seconds=sum(one["seconds"] for one in record.invocations),
        weights=record.weights,
        mlflow_run_id=record.mlflow_run_id,
        status=status,
        message=message,
        history=list(history),
        **_scores(dataset, scored),
    )


def with_new_scores(
    before: RunSummary, dataset: DatasetConfig, scored: ScoredRun, reason: str
) -> RunSummary:
    """The summary with its scores replaced; the former ones join its history, with the reason."""
    history = [*before.history, replaced_scores(before, reason)]
    return before.model_copy(update={**_scores(dataset, scored), "history": history})


def _scores(dataset: DatasetConfig, scored: ScoredRun) -> dict[str, Any]:
    """The fields of a summary that scoring makes."""
    return {
        "headline": dataset.headline,
        "metrics": scored.metrics,
        "by": scored.by,
        "states": scored.states,
        "figures": scored.figures,
        "metric_versions": versions(dataset, scored),
    }


def count_failed(samples: Sequence[Sample], answers: Mapping[int, Answer]) -> int:
    """Samples that have no output to score: bad rows, refused requests, engine errors."""
    bad_rows = sum(bool(sample.error) for sample in samples)
    return bad_rows + sum(answer.failed for answer in answers.values())


def run_status(
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


def replaced_scores(before: RunSummary, reason: str) -> dict[str, Any]:
    """The entry of a summary's history for scores that are replaced, and why."""
    return {
        "scored": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "reason": reason,
        "metrics": {name: interval.value for name, interval in before.metrics.items()},
        "metric_versions": before.metric_versions,
    }
