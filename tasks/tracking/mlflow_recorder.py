"""MLflow as the recorder of runs."""

from __future__ import annotations

from pathlib import Path

from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking import lifecycle
from pixtrack.tasks.tracking.connection import check_store
from pixtrack.tasks.tracking.extras import log_comparison
from pixtrack.tasks.tracking.links import links
from pixtrack.tasks.tracking.log import log_run
from pixtrack.tasks.tracking.recorder import Ended, Report


class MlflowRecorder:
    """Records runs in the MLflow store that `connection.tracking_uri` names at each call."""

    def check(self) -> None:
        """Proves, within about 5 s, that the store can be written to."""
        check_store()

    def begin(self, run: RunDirectory) -> None:
        """Makes or resumes the MLflow run, marks it RUNNING, and starts sampling the machine."""
        lifecycle.begin(run)

    def end(self, run: RunDirectory, status: Ended) -> None:
        """Stops sampling and marks the MLflow run FINISHED, FAILED, or KILLED (cancelled)."""
        lifecycle.end(run, status)

    def log(self, run: RunDirectory, images: Path) -> bool:
        """Logs parameters, metrics, dataset, model, tables, artifacts and traces; ends the run."""
        return log_run(run, images)

    def links(self, run: RunDirectory) -> dict[str, str]:
        """Pages of MLflow's; with the local store they work once `pixtrack ui` is running."""
        return links(run)

    def log_report(self, report: Report) -> str:
        """Logs the report as a run of the experiment `comparisons`."""
        return log_comparison(
            report.name,
            report.directory,
            note=report.note,
            params=report.params,
            metrics=report.metrics,
            tags=report.tags,
        )
