"""A run's record and its entry at the tracker, kept true whatever happens to the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.timings import timed
from pixtrack.tasks.tracking.recorder import Recorder, TrackingUnavailable


@contextmanager
def recorded(run: RunDirectory, recorder: Recorder) -> Iterator[None]:
    """Shows the run as running for the length of the block.

    An error that leaves the block is noted in the run's record, with the status failed, or
    cancelled for KeyboardInterrupt and SystemExit, and ends the run at the recorder. Without an
    error the run stays `running`: `Recorder.log` ends it.
    """
    try:
        with timed("MLflow run begins"):
            recorder.begin(run)
        yield
    except BaseException as error:
        status = ended_by(error)
        record = run.read_record()
        if record is not None:
            record.status, record.message = status, str(error) or type(error).__name__
            run.write_record(record)
        recorder.end(run, status)
        raise


def ended_by(error: BaseException) -> Literal["failed", "cancelled"]:
    """The status of a run that this error ended."""
    return "failed" if isinstance(error, Exception) else "cancelled"


def log_or_reason(run: RunDirectory, images: Path, recorder: Recorder) -> str:
    """Logs the run; returns why it is not logged, or "" where it is.

    A tracker that has gone away costs the entry, not the run. Another error ends the run at the
    recorder before it is raised: an entry does not stay `running` for ever.
    """
    try:
        recorder.log(run, images)
    except TrackingUnavailable as error:
        return str(error)
    except BaseException as error:
        recorder.end(run, ended_by(error))
        raise
    return ""
