"""The step "score answers" as a Prefect task."""

from __future__ import annotations

from pixtrack.tasks.prefecting import step
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.directory import RunSummary
from pixtrack.tasks.runs.opening import OpenRun
from pixtrack.tasks.scoring.finishing import finish_run


@step("score answers")
def score_answers(run: OpenRun, asked: AskedRun) -> RunSummary:
    """Scores the answers in the run's journal; writes the table of scores and the summary."""
    return finish_run(run, asked)
