"""What the page of a flow run in Prefect is told of an evaluation, beside its progress."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pixtrack.flows.page_log import PAGE
from pixtrack.tasks.environment import Check
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.directory import Interval, RunSummary
from pixtrack.tasks.runs.opening import OpenRun


def checked(checks: Sequence[Check]) -> None:
    """The checks of this machine: how many went well, and each that did not."""
    fine = sum(check.status == "ok" for check in checks)
    PAGE.info("this machine: %d of %d checks are fine", fine, len(checks))
    for check in checks:
        if check.status != "ok":
            level = logging.ERROR if check.status == "failed" else logging.WARNING
            remedy = f"; {check.remedy}" if check.remedy else ""
            PAGE.log(level, "this machine: %s: %s%s", check.name, check.detail, remedy)


def opened(run: OpenRun) -> None:
    """What is to be asked, and what an earlier evaluation has answered already."""
    cell, total = run.cell, len(run.requests)
    PAGE.info(
        "%s on %s, prompt %s: %s questions, %s answered already, %s to ask: run %s",
        cell.model.name,
        cell.dataset.name,
        cell.prompt.name,
        f"{total:,}",
        f"{total - run.unanswered:,}",
        f"{run.unanswered:,}",
        run.directory.path.name,
    )
    unreadable = len(run.samples) - total
    if unreadable:
        PAGE.warning("%s: %d questions cannot be asked", cell.dataset.name, unreadable)


def ended(summary: RunSummary | None, asked: AskedRun, not_logged: str) -> None:
    """The outcome: the headline score with its interval, and what became of the questions."""
    if summary is None:
        return
    level = logging.ERROR if summary.status == "failed" else logging.INFO
    PAGE.log(level, "%s", outcome_words(summary, asked))
    if not_logged:
        PAGE.warning("not logged to MLflow: %s; log it with: pixtrack sync", not_logged)


def outcome_words(summary: RunSummary, asked: AskedRun) -> str:
    """A finished run in one line."""
    parts = [f"{summary.answered:,} of {summary.n:,} answered"]
    for count, what in (
        (summary.failed, "failed"),
        (summary.truncated, "cut off at the output limit"),
        (summary.without_gold, "without a published gold"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    if asked.asked and asked.seconds:
        rate = asked.asked / asked.seconds
        parts.append(f"{asked.asked:,} asked in {asked.seconds:,.0f} s, {rate:.1f} q/s")
    if summary.message:
        parts.append(summary.message)
    score = score_words(summary.metrics.get(summary.headline))
    head = f"{summary.model} on {summary.dataset}: {summary.headline} {score}"
    return "; ".join([head, ", ".join(parts)])


def score_words(metric: Interval | None) -> str:
    """`61.57 (95% CI 55.2 to 67.9)`; `not scored` where there is no value."""
    if metric is None or metric.value is None:
        return "not scored"
    text = f"{metric.value:.2f}"
    return f"{text} (95% CI {metric.ci95[0]:.1f} to {metric.ci95[1]:.1f})" if metric.ci95 else text
