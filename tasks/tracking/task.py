"""The step "log to MLflow" as a Prefect task."""

from __future__ import annotations

from pathlib import Path

from pixtrack.tasks.prefecting import step
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking import log_run


@step("log to MLflow")
def log_to_mlflow(run: RunDirectory, images: Path) -> None:
    """Everything the run directory holds, into its MLflow run; nothing twice."""
    log_run(run, images)
