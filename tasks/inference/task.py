"""The steps "identify engine" and "ask questions" as Prefect tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.inference.engines import engine_kind
from pixtrack.tasks.inference.host.session import EngineSession
from pixtrack.tasks.prefecting import reports, step
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.invocations import note_invocation
from pixtrack.tasks.runs.opening import OpenRun
from pixtrack.tasks.runs.protocol import Event

ARTIFACT_EVERY_SECONDS = 2.0
"""Pause between two updates of the artifact, each of which takes about 20 ms."""


@step("identify engine")
def identify_engine(model: ModelConfig) -> ModelConfig:
    """The model, completed by what only its engine knows: the name that an endpoint serves it by.

    Raises UserError where an endpoint has no address, or no server answers there.
    """
    return engine_kind(model).resolved(model)


@step("ask questions")
def ask_questions(
    run: OpenRun, engine: EngineSession, on_event: Callable[[Event], None]
) -> AskedRun:
    """Has every unanswered question answered; answers are written to the journal as they arrive.

    Progress is shown as a Prefect progress artifact.

    Args:
        run: the run
        engine: the engine session
        on_event: called with every event, for a progress bar

    Returns:
        what was asked, with the engine's figures

    Raises:
        EngineFailed: the engine did not start, or died
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
            done = (event.done + event.already_answered) / event.total
            progress.show(done, event.details.get("replicas") or ())

    try:
        asked = engine.ask(run, relay)
    except BaseException:
        if latest is not None:
            _note_broken_off(run, latest)
        raise
    progress.show(1.0, asked.replicas, now=True)
    return asked


def _note_broken_off(run: OpenRun, latest: Event) -> None:
    """Records the invocation that broke off: the answers until then, and the time they took."""
    record = run.directory.read_record()
    if record is not None:
        note_invocation(record, AskedRun(latest.done, latest.elapsed_seconds, latest.started))
        run.directory.write_record(record)


class _Progress:
    """The artifacts of one run, updated every few seconds: its bar, and what each replica does."""

    def __init__(self, run: OpenRun) -> None:
        self._shown = time.monotonic()
        key = f"asking-{reports.artifact_key(run.cell.dataset.name)}"
        title = f"{run.cell.model.name} on {run.cell.dataset.name}"
        self._bar = reports.Progress(key, f"{title}: questions answered")
        self._replicas = reports.LiveTable(f"{key}-replicas", f"{title}: replicas")

    def show(
        self, fraction: float, replicas: Sequence[Mapping[str, Any]] = (), now: bool = False
    ) -> None:
        """Updates the artifacts, if the last update is long enough ago or `now` is set."""
        if now or time.monotonic() - self._shown > ARTIFACT_EVERY_SECONDS:
            self._shown = time.monotonic()
            self._bar.show(fraction)
            self._replicas.show([_row(one) for one in replicas])


def _row(replica: Mapping[str, Any]) -> dict[str, Any]:
    """What one replica does, as a row of a table."""
    return {
        "replica": replica["replica"],
        "state": replica["state"],
        "node": replica["node"],
        "cards": ", ".join(replica["cards"]),
        "answered": replica["answered"],
        "answers/s": replica["rate"],
    }
