"""The steps "open run" and "ask questions" as Prefect tasks."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.inference.engines import engine_kind
from pixtrack.tasks.inference.host.session import EngineSession
from pixtrack.tasks.prefecting import step
from pixtrack.tasks.records import PreparedDataset
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.opening import Cell, OpenRun, open_run
from pixtrack.tasks.runs.protocol import Event

ARTIFACT_EVERY_SECONDS = 2.0
"""An update costs about 20 ms."""


logger = logging.getLogger("pixtrack")


def artifact_key(name: str) -> str:
    """A name as Prefect takes an artifact's key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@step("identify engine")
def identify_engine(model: ModelConfig) -> ModelConfig:
    """The model with what only its engine can tell: the name that an endpoint serves it by.

    Raises UserError where there is no address, and where nobody answers there.
    """
    return engine_kind(model).resolved(model)


@step("open run")
def open_the_run(
    cell: Cell, prepared: PreparedDataset, identity: dict[str, Any], home: Home
) -> OpenRun:
    """The run's directory with its requests; the answers it already has are found."""
    return open_run(cell, prepared, identity, home, flow_run.get_id())


@step("ask questions")
def ask_questions(
    run: OpenRun, engine: EngineSession, on_event: Callable[[Event], None]
) -> AskedRun:
    """Every unanswered question through the engine; answers go to the journal as they come.

    Progress is a Prefect progress artifact, and whatever `on_event` makes of the events.
    """
    if not run.unanswered:
        return AskedRun()
    progress = _ProgressArtifact(run)

    def relay(event: Event) -> None:
        on_event(event)
        if event.total:
            progress.show((event.done + event.already_answered) / event.total)

    asked = engine.ask(run, relay)
    progress.show(1.0, now=True)
    return asked


class _ProgressArtifact:
    """Prefect's progress artifact of one run; a server that hiccups costs the bar, not the run."""

    def __init__(self, run: OpenRun) -> None:
        self._shown = time.monotonic()
        self._id: Any = None
        try:
            self._id = create_progress_artifact(
                progress=0.0,
                key=f"asking-{artifact_key(run.cell.dataset.name)}",
                description=f"{run.cell.model.name} on {run.cell.dataset.name}: questions answered",
            )
        except Exception as error:
            logger.warning("no progress in Prefect: %s", error)

    def show(self, fraction: float, now: bool = False) -> None:
        """Updates the artifact, if the last time is a while ago or `now`."""
        if self._id is None or (
            not now and time.monotonic() - self._shown <= ARTIFACT_EVERY_SECONDS
        ):
            return
        self._shown = time.monotonic()
        try:
            update_progress_artifact(self._id, progress=100.0 * fraction)
        except Exception as error:
            logger.debug("progress was not taken by Prefect: %s", error)
