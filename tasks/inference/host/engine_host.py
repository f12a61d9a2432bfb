"""The interface of what runs an engine: one child process, or a cluster's driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job


class EngineHost(Protocol):
    """Runs the engine that a spec describes. Used from one thread at a time."""

    def start(self) -> None:
        """Begins to start the engine and returns at once; the outcome is among the `events`.

        Raises UserError where no process can be started.
        """
        ...

    def submit(self, job: Job) -> None:
        """Adds the questions of one more run; the engine answers runs in this order."""
        ...

    def events(self) -> Iterator[Event]:
        """The engine's events, as they happen; the last one is `closed` or `engine_failed`."""
        ...

    def close(self) -> None:
        """Ends the engine and everything it started. May be called twice, and without `start`."""
        ...


def one_child(spec: EngineSpec, log: Path) -> EngineHost:
    """One engine in a child of this process, on its planned cards. It is not started."""
    return EngineProcess(spec, log, cards=spec.replicas[0] if spec.replicas else ())
