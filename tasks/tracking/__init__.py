"""MLflow, and nothing else knows MLflow: a run directory in, a page to look at out.

`preload` early, `check_store` before any work, `begin`, the work, `log_run` (or `end` where it
failed). Everything is read from the run directory, so a run can be logged at any later time.
"""

from pixtrack.tasks.tracking.connection import (
    TrackingUnavailable,
    check_store,
    local_uri,
    preload,
    tracking_uri,
)
from pixtrack.tasks.tracking.extras import experiments, log_comparison, log_curves
from pixtrack.tasks.tracking.lifecycle import begin, end, interrupted, reap
from pixtrack.tasks.tracking.links import links
from pixtrack.tasks.tracking.log import log_run
from pixtrack.tasks.tracking.sync import Synced, sync

__all__ = [
    "Synced",
    "TrackingUnavailable",
    "begin",
    "check_store",
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
