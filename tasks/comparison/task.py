"""The step "compare runs" as a Prefect task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import StudyConfig
from pixtrack.tasks.comparison.compare import compare
from pixtrack.tasks.comparison.publish import note, publish
from pixtrack.tasks.prefecting import step
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking.recorder import ReportRecorder


@step("compare runs")
def compare_runs(
    study: StudyConfig, runs: Sequence[RunDirectory], home: Home, recorder: ReportRecorder
) -> dict[str, Any]:
    """Compares a study's runs; the report is written under the data home and recorded.

    Returns verdict, markdown, page, directory, link and not_logged. A study that varies the
    prompt compares prompts: that mismatch is its subject and is let through.
    """
    comparison = compare(
        runs,
        study.baseline or None,
        allow=("prompt",) if len(study.prompts) > 1 else (),
        name=study.name,
        title=study.title,
    )
    published = publish(comparison, home, recorder=recorder)
    return {
        "verdict": comparison.verdict,
        "markdown": note(comparison),
        "directory": str(published.written.directory),
        "page": str(published.written.page),
        "link": published.link,
        "not_logged": published.not_logged,
    }
