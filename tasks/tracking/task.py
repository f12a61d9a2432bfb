"""The step "log to MLflow" as a Prefect task."""

from __future__ import annotations

from pathlib import Path

from pixtrack.tasks.prefecting import step
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking.recorder import Recorder
from pixtrack.tasks.tracking.recording import log_or_reason


@step("log to MLflow")
def log_run(run: RunDirectory, images: Path, recorder: Recorder) -> str:
    """Everything that the run directory holds, into its entry; returns why not, or ""."""
    return log_or_reason(run, images, recorder)
