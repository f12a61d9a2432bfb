"""The protocol of a tracker of runs. MLflow is its one implementation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pixtrack.configs.errors import UserError
from pixtrack.tasks.runs.directory import RunDirectory

Ended = Literal["completed", "failed", "cancelled"]
"""How a run ended, in the words of its record."""


class TrackingUnavailable(UserError):
    """The tracker cannot be reached, or refused what it was sent; the run on disk is whole."""


class Recorder(Protocol):
    """Records runs where people look at them and compare them.

    Everything is read from the run directory, so a run can be logged at any later time, and a
    tracker that goes away in the middle costs a run nothing but its entry there.
    """

    def check(self) -> None:
        """Proves, within seconds, that runs can be recorded; called before any work.

        Raises TrackingUnavailable with one line that says what to do.
        """
        ...

    def begin(self, run: RunDirectory) -> None:
        """Makes or resumes the run's entry and shows it as running.

        Where the tracker has gone away, this only warns: `log` makes the entry then.
        """
        ...

    def end(self, run: RunDirectory, status: Ended) -> None:
        """Shows the run as ended; does nothing for one that was never begun there.

        Where the tracker has gone away, this only warns: it is called while an error is raised.
        """
        ...

    def log(self, run: RunDirectory, images: Path) -> bool:
        """Records everything that the run directory holds, once, and ends the run.

        Args:
            run: a run with a record; it may be completed, failed or imported
            images: the image store that the samples' paths are relative to

        Returns whether anything was sent: False where the tracker has it all. Raises
        TrackingUnavailable; the same call records the run later.
        """
        ...

    def links(self, run: RunDirectory) -> dict[str, str]:
        """Web addresses of the run's pages by name (`run`, `charts`, …); {} before `begin`."""
        ...


@dataclass(frozen=True)
class Report:
    """A folder of files to record as one entry: a comparison of runs."""

    name: str
    """A report of the same name replaces the earlier one's files."""
    directory: Path
    note: str = ""
    """Markdown for the entry's page."""
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Shown as they are, digit by digit."""
    tags: Mapping[str, str] = field(default_factory=dict)


class ReportRecorder(Protocol):
    """Records reports beside the runs that they are about."""

    def log_report(self, report: Report) -> str:
        """Records the report's files; returns the web address of its entry.

        Raises TrackingUnavailable.
        """
        ...


class Tracker(Recorder, ReportRecorder, Protocol):
    """Records runs, and reports on them."""
