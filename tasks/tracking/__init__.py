"""Records runs where people look at them. Other steps use the protocol `Recorder`.

`default_recorder()` returns its one implementation, MLflow; `preload()` imports MLflow early,
beside other work. A run is recorded by `check` before any work, `begin`, the work, and `log` (or
`end` where it failed). Everything is read from the run directory, so a run can be logged at any
later time, as `sync` does.
"""

from pixtrack.tasks.tracking.connection import check_store, local_uri, preload, tracking_uri
from pixtrack.tasks.tracking.extras import experiments, log_comparison, log_curves
from pixtrack.tasks.tracking.lifecycle import begin, end, interrupted, reap
from pixtrack.tasks.tracking.links import links
from pixtrack.tasks.tracking.log import log_run
from pixtrack.tasks.tracking.mlflow_recorder import MlflowRecorder
from pixtrack.tasks.tracking.recorder import (
    Recorder,
    Report,
    ReportRecorder,
    Tracker,
    TrackingUnavailable,
)
from pixtrack.tasks.tracking.sync import Synced, sync

__all__ = [
    "Recorder",
    "Report",
    "ReportRecorder",
    "Synced",
    "Tracker",
    "TrackingUnavailable",
    "begin",
    "check_store",
    "default_recorder",
    "end",
    "experiments",
    "interrupted",
    "links",
    "local_uri",
    "log_comparison",
    "log_curves",
    "log_run",
    "preload",
    "reap",
    "sync",
    "tracking_uri",
]


def default_recorder() -> Tracker:
    """The tracker of this process."""
    return MlflowRecorder()
