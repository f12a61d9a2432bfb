"""Logs the runs that a store does not have: they finished while it was away, or have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pixtrack.configs.errors import UserError
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking.connection import check_store, reported
from pixtrack.tasks.tracking.lifecycle import reap
from pixtrack.tasks.tracking.log import log_run
from pixtrack.tasks.tracking.recorder import TrackingUnavailable


@dataclass(frozen=True)
class Synced:
    """What became of one run directory."""

    run: RunDirectory
    outcome: Literal["logged", "unchanged", "unfinished", "damaged"]
    detail: str = ""


def sync(
    runs: Iterable[RunDirectory], images: Path, on_run: Callable[[Synced], None] | None = None
) -> list[Synced]:
    """Logs every finished run whose content the store does not have; each exactly once.

    `on_run` is called with each run as it is done. A run without a summary has not finished and is
    left for the command that continues it. Raises TrackingUnavailable as soon as the store is away;
    what was logged by then stays.
    """
    uri = check_store()
    with reported(uri, "cannot be read"):
        reap(uri)
    done = []
    for run in runs:
        one = _sync(run, images)
        done.append(one)
        if on_run:
            on_run(one)
    return done


def _sync(run: RunDirectory, images: Path) -> Synced:
    try:
        record = run.read_record()
        if record is None or run.read_summary() is None or record.status == "running":
            return Synced(run, "unfinished", "run the same command again to finish it")
        return Synced(run, "logged" if log_run(run, images) else "unchanged")
    except TrackingUnavailable:
        raise
    except (UserError, ValueError) as error:
        return Synced(run, "damaged", str(error).splitlines()[0])
