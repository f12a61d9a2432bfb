"""The step "score answers" as a Prefect task."""

from __future__ import annotations

from tasks.finishing import finish_run
from tasks.inference.opening import OpenRun
from tasks.inference.session import AskedRun
from tasks.prefecting import step
from tasks.runs import RunSummary


@step("score answers")
def score_answers(run: OpenRun, asked: AskedRun) -> RunSummary:
    """The run's scores table and summary, from the answers in its journal."""
    return finish_run(run, asked.asked, asked.seconds, asked.engine, asked.started)
