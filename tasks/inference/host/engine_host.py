"""What a session needs of whatever runs an engine: one child, several, or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.inference.host.replicas import EngineReplicas
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job


class EngineHost(Protocol):
    """Runs the engine that a spec describes. Used from one thread at a time."""

    def start(self) -> None:
        """Begins to start the engine and returns at once; `events` says how it goes.

        Raises UserError where not even a process can be started.
        """
        ...

    def submit(self, job: Job) -> None:
        """Hands over the questions of one more run; the engine takes runs in this order."""
        ...

    def events(self) -> Iterator[Event]:
        """What the engine reports, as it comes, until it ends: `closed` or `engine_failed`."""
        ...

    def close(self) -> None:
        """Ends the engine and everything it started. May be called twice, and without `start`."""
        ...


def host_for(spec: EngineSpec, log: Path) -> EngineHost:
    """The host for that spec: a child process, or one for each replica. It is not started."""
    if len(spec.replicas) > 1:
        return EngineReplicas(spec, log)
    return EngineProcess(spec, log, cards=spec.replicas[0] if spec.replicas else ())
