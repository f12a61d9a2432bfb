"""What `evaluate` and `study` share: the cells of one model, answered by one engine start.

Order matters for speed: the engine loads while the datasets are prepared, and it works on the
next run while the one before is scored and logged.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.flows.bars import BYTES, asking_bar, bar, counted
from pixtrack.flows.report import publish
from pixtrack.tasks.datasets.task import prepare_dataset
from pixtrack.tasks.download import model_identity
from pixtrack.tasks.download.task import fetch_model_files
from pixtrack.tasks.environment.task import as_json, check_environment
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.inference.host.session import EngineFailed, EngineSession
from pixtrack.tasks.inference.starting import (
    acquire,
    engine_facts,
    longest_request,
    report_before_start,
)
from pixtrack.tasks.inference.task import ask_questions, identify_engine, open_the_run
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.directory import RunDirectory, RunSummary
from pixtrack.tasks.runs.invocations import note_invocation
from pixtrack.tasks.runs.opening import Cell, OpenRun, identity_of
from pixtrack.tasks.runs.protocol import Event
from pixtrack.tasks.scoring.task import score_answers
from pixtrack.tasks.timings import note, timed
from pixtrack.tasks.tracking import TrackingUnavailable, begin, check_store, end
from pixtrack.tasks.tracking.task import log_to_mlflow

logger = logging.getLogger(__name__)


@dataclass
class CellOutcome:
    """How a cell ended: a summary, or why there is none."""

    cell: Cell
    summary: RunSummary | None = None
    error: str = ""
    not_logged: str = field(default="")
    """Why MLflow has not got it; `pixtrack sync` logs it later."""


def run_cells(
    cells: Sequence[Cell],
    home: Home,
    model_dir: Path | None = None,
    *,
    go_on: bool = False,
    track: bool = True,
) -> list[CellOutcome]:
    """Every cell of one model, in order, with one engine start.

    With `go_on` a cell that fails is recorded and the next one is taken; otherwise its error is
    raised. What was answered stays in the journals in any case.
    """
    model = cells[0].model
    if track:
        with timed("tracking store"):
            check_store()
    with timed("check environment"):
        checks = check_environment(model, home, model_dir, report_before_start(model))
    with timed("engine identified"):
        model = identify_engine(model)
    cells = [replace(cell, model=model) for cell in cells]
    files, model_facts = _files_of(model, home, model_dir)
    outcomes: list[CellOutcome] = []
    opened: list[OpenRun | Exception] = []
    with acquire(model, files, home) as engine, _closed_at_last(opened), timed_close(engine):
        shared = _Shared(files, model_facts, home, engine, as_json(checks))
        broken: EngineFailed | None = None
        opened += (_open(cell, shared, go_on) for cell in cells)
        for i, (cell, run) in enumerate(zip(cells, opened, strict=True)):
            outcome = CellOutcome(cell)
            outcomes.append(outcome)
            try:
                if isinstance(run, Exception):
                    raise run
                rest = opened[i + 1 :]
                last = all(isinstance(r, Exception) or not r.unanswered for r in rest)
                _answer(run, engine, outcome, track, last, broken)
            except Exception as error:
                if not go_on:
                    raise
                outcome.error = str(error)
                logger.error("%s on %s: %s", model.name, cell.dataset.name, error)
                if isinstance(error, EngineFailed):
                    # The next cell gets a fresh one, unless it does not even start.
                    broken = None if engine.was_ready else error
                    engine.close()
    return outcomes


@contextlib.contextmanager
def _closed_at_last(opened: list[OpenRun | Exception]) -> Iterator[None]:
    """Releases the runs after the engine has closed, because it writes answers until then."""
    try:
        yield
    finally:
        for run in opened:
            if isinstance(run, OpenRun):
                run.close("cancelled", "the command ended before it was asked")


def _files_of(
    model: ModelConfig, home: Home, model_dir: Path | None
) -> tuple[Path | None, dict[str, str]]:
    """The model's files, and what identifies them; an endpoint has its own."""
    if not model.source.has_files:
        return None, model_identity(model, None, home)
    with timed("model files"), bar(f"files of {model.name}", BYTES) as shown:
        files = fetch_model_files(model, home, model_dir, shown.update)
    with timed("model identity"):
        return files, model_identity(model, files, home)


@dataclass(frozen=True)
class _Shared:
    """What all cells of one model have in common."""

    files: Path | None
    model_facts: dict[str, str]
    home: Home
    engine: EngineSession
    environment: str


def _open(cell: Cell, shared: _Shared, go_on: bool) -> OpenRun | Exception:
    """Prepares the dataset, opens the run, and hands its questions to the engine already."""
    try:
        with (
            timed("prepare dataset"),
            bar(f"prepare {cell.dataset.name}", counted("rows")) as shown,
        ):
            prepared = prepare_dataset(cell.dataset, shared.home, shown.update, shown.downloading)
        engine = engine_facts(cell.model, shared.files)
        longest = longest_request(cell.model, shared.files)
        identity = identity_of(cell, shared.model_facts, engine, prepared, longest)
        with timed("open run"):
            run = open_the_run(cell, prepared, identity, shared.home)
        try:
            write_atomically(run.directory.environment_file, shared.environment)
            if run.unanswered:
                shared.engine.submit(run)
        except BaseException as error:
            status: Literal["failed", "cancelled"] = (
                "failed" if isinstance(error, Exception) else "cancelled"
            )
            run.close(status, str(error) or type(error).__name__)
            raise
        return run
    except Exception as error:
        if not go_on:
            raise
        return error


def _answer(
    run: OpenRun,
    engine: EngineSession,
    outcome: CellOutcome,
    track: bool,
    last: bool,
    broken: EngineFailed | None = None,
) -> None:
    """Asks, scores, logs and reports one run; after the last one's questions the engine closes.

    `broken`: why the engine does not start; a run that needs it fails with that.
    """
    with tracked(run.directory, track):
        if broken is not None and run.unanswered:
            raise broken
        with timed("ask questions"), asking_bar(run) as on_event, _noted(run, on_event) as noting:
            asked = ask_questions(run, engine, noting)
        if engine.ready_seconds is not None:
            note("  of which the engine's own start", engine.ready_seconds)
            engine.ready_seconds = None
        if last:
            engine.close_beside()
        with timed("score answers"):
            outcome.summary = score_answers(run, asked)
    if track:
        with timed("log to MLflow"):
            outcome.not_logged = _log(run)
    outcome.summary = run.directory.read_summary()
    with timed("report"):
        publish(run, outcome.summary, asked)


@contextlib.contextmanager
def _noted(run: OpenRun, on_event: Callable[[Event], None]) -> Iterator[Callable[[Event], None]]:
    """What an asking that breaks off has answered, and how long that took, joins the run's record."""
    latest: Event | None = None

    def noting(event: Event) -> None:
        nonlocal latest
        if event.job_id:
            latest = event
        on_event(event)

    try:
        yield noting
    except BaseException:
        record = run.directory.read_record()
        if record is not None and latest is not None:
            broken_off = AskedRun(latest.done, latest.elapsed_seconds, latest.started)
            note_invocation(record, broken_off)
            run.directory.write_record(record)
        raise


def _log(run: OpenRun) -> str:
    """Logs the run; a store that went away costs the log, not the run."""
    try:
        log_to_mlflow(run.directory, run.images)
    except TrackingUnavailable as error:
        return str(error)
    except BaseException as error:
        # Not left RUNNING; the run itself is whole, and `pixtrack sync` logs it.
        _end_tracking(run.directory, "failed" if isinstance(error, Exception) else "cancelled")
        raise
    return ""


@contextlib.contextmanager
def timed_close(engine: EngineSession) -> Iterator[None]:
    """Closes the engine at the end of the block, whatever ends it."""
    try:
        yield
    finally:
        with timed("engine closes"):
            engine.close()


@contextlib.contextmanager
def tracked(run: RunDirectory, track: bool = True) -> Iterator[None]:
    """An MLflow run that is RUNNING for the length of the block, and never longer."""
    try:
        if track:
            with timed("MLflow run begins"):
                _begin_tracking(run)
        yield
    except BaseException as error:
        cancelled = not isinstance(error, Exception)
        record = run.read_record()
        if record is not None:
            record.status = "cancelled" if cancelled else "failed"
            record.message = str(error) or type(error).__name__
            run.write_record(record)
        if track:
            _end_tracking(run, "cancelled" if cancelled else "failed")
        raise


def _begin_tracking(run: RunDirectory) -> None:
    """Begins the MLflow run; a store that has gone away since the check does not stop the run."""
    try:
        begin(run)
    except TrackingUnavailable as error:
        logger.warning("%s: going on; everything stays in %s", error, run.path)


def _end_tracking(run: RunDirectory, status: Literal["failed", "cancelled"]) -> None:
    try:
        end(run, status)
    except TrackingUnavailable as error:
        logger.warning("%s: log the run's end with: pixtrack sync", error)
