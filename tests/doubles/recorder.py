"""A recorder that keeps what it is told in memory, in place of MLflow."""

from __future__ import annotations

from pathlib import Path

from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking.recorder import Ended, Report, TrackingUnavailable


class MemoryRecorder:
    """Keeps the promises of `Recorder` and `ReportRecorder`; `away` says why it is unavailable."""

    def __init__(self, away: str = "") -> None:
        self.away = away
        self.statuses: dict[str, list[str]] = {}
        """Run name to the statuses that it was shown with, in order."""
        self.reports: dict[str, Report] = {}
        self._logged: dict[str, bytes] = {}

    def check(self) -> None:
        """Raises TrackingUnavailable while it is away."""
        if self.away:
            raise TrackingUnavailable(self.away)

    def begin(self, run: RunDirectory) -> None:
        """The run is `running` from here on; while away, nobody hears of it."""
        if not self.away:
            self.statuses.setdefault(run.path.name, []).append("running")

    def end(self, run: RunDirectory, status: Ended) -> None:
        """The run has ended so, if it was ever begun."""
        if not self.away and run.path.name in self.statuses:
            self.statuses[run.path.name].append(status)

    def log(self, run: RunDirectory, images: Path) -> bool:
        """Keeps the run's scores; the same scores are not taken twice."""
        self.check()
        record = run.read_record()
        assert record is not None
        scores = run.scores_file.read_bytes() if run.scores_file.exists() else b""
        news = self._logged.get(run.path.name) != scores
        self._logged[run.path.name] = scores
        shown = self.statuses.setdefault(run.path.name, ["running"])
        if record.status != "running" and shown[-1] != record.status:
            shown.append(record.status)
        return news

    def links(self, run: RunDirectory) -> dict[str, str]:
        """One page a run that was begun."""
        known = run.path.name in self.statuses
        return {"run": f"memory://runs/{run.path.name}"} if known else {}

    def log_report(self, report: Report) -> str:
        """Keeps the report, in place of an earlier one of its name."""
        self.check()
        self.reports[report.name] = report
        return f"memory://reports/{report.name}"
