"""The steps "identify engine" and "ask questions" as Prefect tasks."""

from __future__ import annotations

import time
from collections.abc import Callable

from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.inference.engines import engine_kind
from pixtrack.tasks.inference.host.session import EngineSession
from pixtrack.tasks.prefecting import reports, step
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.invocations import note_invocation
from pixtrack.tasks.runs.opening import OpenRun
from pixtrack.tasks.runs.protocol import Event

ARTIFACT_EVERY_SECONDS = 2.0
"""An update costs about 20 ms."""


@step("identify engine")
def identify_engine(model: ModelConfig) -> ModelConfig:
    """The model with what is asked of its engine: the name that an endpoint serves it by.

    Raises UserError where there is no address, and where no server answers there.
    """
    return engine_kind(model).resolved(model)


@step("ask questions")
def ask_questions(
    run: OpenRun, engine: EngineSession, on_event: Callable[[Event], None]
) -> AskedRun:
    """Every unanswered question through the engine; answers go to the journal as they come.

    Progress is a Prefect progress artifact, and whatever `on_event` makes of the events.
    """
    if not run.unanswered:
        return AskedRun()
    progress = _Progress(run)
    latest: Event | None = None

    def relay(event: Event) -> None:
        nonlocal latest
        if event.job_id:
            latest = event
        on_event(event)
        if event.total:
            progress.show((event.done + event.already_answered) / event.total)

    try:
        asked = engine.ask(run, relay)
    except BaseException:
        if latest is not None:
            _note_broken_off(run, latest)
        raise
    progress.show(1.0, now=True)
    return asked


def _note_broken_off(run: OpenRun, latest: Event) -> None:
    """Adds to the run's record what was answered before the asking broke off, and how long it took."""
    record = run.directory.read_record()
    if record is not None:
        note_invocation(record, AskedRun(latest.done, latest.elapsed_seconds, latest.started))
        run.directory.write_record(record)


class _Progress:
    """The bar of one run on Prefect's page, moved every few seconds."""

    def __init__(self, run: OpenRun) -> None:
        self._shown = time.monotonic()
        self._bar = reports.Progress(
            f"asking-{reports.artifact_key(run.cell.dataset.name)}",
            f"{run.cell.model.name} on {run.cell.dataset.name}: questions answered",
        )

    def show(self, fraction: float, now: bool = False) -> None:
        """Moves the bar, if the last time is a while ago or `now`."""
        if now or time.monotonic() - self._shown > ARTIFACT_EVERY_SECONDS:
            self._shown = time.monotonic()
            self._bar.show(fraction)
