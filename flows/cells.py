"""What `evaluate` and `study` share: the cells of one model, answered by one engine start.

The order is chosen for speed: the engine loads while the datasets are prepared, and it works on the
next run while the one before is scored and logged.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.flows import narration
from pixtrack.flows.bars import BYTES, asking_bar, bar, counted
from pixtrack.flows.report import publish
from pixtrack.tasks.datasets.shots import shots_of
from pixtrack.tasks.datasets.task import prepare_dataset
from pixtrack.tasks.download import model_identity
from pixtrack.tasks.download.task import fetch_model_files
from pixtrack.tasks.environment.task import as_json, check_environment
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.inference.host.session import EngineFailed, EngineSession
from pixtrack.tasks.inference.host.start_parts import parts_of_start
from pixtrack.tasks.inference.starting import (
    acquire,
    engine_facts,
    longest_request,
    report_before_start,
)
from pixtrack.tasks.inference.task import ask_questions, identify_engine
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.directory import RunSummary
from pixtrack.tasks.runs.opening import Cell, OpenRun, identity_of
from pixtrack.tasks.runs.task import open_the_run
from pixtrack.tasks.scoring.task import score_answers
from pixtrack.tasks.timings import note, timed
from pixtrack.tasks.tracking.recorder import Recorder
from pixtrack.tasks.tracking.recording import ended_by, recorded
from pixtrack.tasks.tracking.task import log_run

logger = logging.getLogger(__name__)


@dataclass
class CellOutcome:
    """How a cell ended: with a summary, or with the failure because of which there is none."""

    cell: Cell
    run: OpenRun | None = None
    """Once it is opened."""
    summary: RunSummary | None = None
    failure: Exception | None = None
    not_logged: str = ""
    """Why the recorder does not have the run; `pixtrack sync` logs it later."""

    @property
    def error(self) -> str:
        """The failure in words; "" where there is none."""
        return "" if self.failure is None else str(self.failure)


@dataclass(frozen=True)
class Context:
    """What all cells of one model have in common."""

    home: Home
    recorder: Recorder
    engine: EngineSession
    files: Path | None
    """The model's directory; None for an endpoint."""
    model_facts: dict[str, str]
    """What identifies the model in a run's fingerprint."""
    environment: str
    """The report on this machine, as JSON."""


def run_cells(
    cells: Sequence[Cell], home: Home, recorder: Recorder, model_dir: Path | None = None
) -> list[CellOutcome]:
    """Asks, scores and logs every cell of one model, in order, with one engine start.

    A cell that fails does not keep the others from being asked; what it answered until then is in
    its journal. Raises what keeps all of them from being asked: the tracker away, a machine that
    cannot run the model, files that cannot be fetched.
    """
    model = cells[0].model
    with timed("tracking store"):
        recorder.check()
    with timed("check environment"):
        checks = check_environment(model, home, model_dir, report_before_start(model, home))
    narration.checked(checks)
    with timed("engine identified"):
        model = identify_engine(model)
    files, model_facts = _fetch(model, home, model_dir)
    outcomes = [CellOutcome(replace(cell, model=model)) for cell in cells]
    with _released(outcomes), _engine(model, files, home) as engine:
        context = Context(home, recorder, engine, files, model_facts, as_json(checks))
        for outcome in outcomes:
            with _noted_in(outcome, alone=len(cells) == 1):
                outcome.run = _open(outcome.cell, context)
        _answer_all(outcomes, context)
    return outcomes


def _fetch(
    model: ModelConfig, home: Home, model_dir: Path | None
) -> tuple[Path | None, dict[str, str]]:
    """The model's files, and what identifies them; an endpoint has its own."""
    if not model.source.has_files:
        return None, model_identity(model, None, home)
    with timed("model files"), bar(f"files of {model.name}", BYTES) as shown:
        files = fetch_model_files(model, home, model_dir, shown.update)
    with timed("model identity"):
        return files, model_identity(model, files, home)


def _open(cell: Cell, context: Context) -> OpenRun:
    """Prepares the dataset, opens the run, and hands its questions to the engine already."""
    with timed("prepare dataset"), bar(f"prepare {cell.dataset.name}", counted("rows")) as shown:
        prepared = prepare_dataset(cell.dataset, context.home, shown.update, shown.downloading)
    with timed("worked examples"), bar(f"examples of {cell.prompt.name}", counted("rows")) as shown:
        shots = shots_of(cell.prompt, prepared, context.home, shown.update, shown.downloading)
    cell = replace(cell, shots=shots)
    engine = engine_facts(cell.model, context.files, context.home)
    longest = longest_request(cell.model, context.files, context.home)
    identity = identity_of(cell, context.model_facts, engine, prepared, longest)
    with timed("open run"):
        run = open_the_run(cell, prepared, identity, context.home)
    narration.opened(run)
    try:
        write_atomically(run.directory.environment_file, context.environment)
        if run.unanswered:
            context.engine.submit(run)
    except BaseException as error:
        run.close(ended_by(error), str(error) or type(error).__name__)
        raise
    return run


def _answer_all(outcomes: Sequence[CellOutcome], context: Context) -> None:
    """Answers the runs that could be opened, in order; what becomes of them is in `outcomes`."""
    broken: EngineFailed | None = None
    opened = [(outcome, outcome.run) for outcome in outcomes if outcome.run is not None]
    for number, (outcome, run) in enumerate(opened, start=1):
        more = any(later.unanswered for _, later in opened[number:])
        with _noted_in(outcome, alone=len(outcomes) == 1):
            _answer(run, outcome, context, more, broken)
        if isinstance(outcome.failure, EngineFailed):
            # The next run gets a fresh engine, unless this one did not even start.
            broken = None if context.engine.was_ready else outcome.failure
            context.engine.close()


def _answer(
    run: OpenRun, outcome: CellOutcome, context: Context, more: bool, broken: EngineFailed | None
) -> None:
    """Asks, scores, logs and reports one run.

    Args:
        run: the run
        outcome: takes its summary, and why it is not logged
        context: what it has in common with the model's other runs
        more: whether the engine is needed afterwards; else it closes while this run is scored
        broken: why the engine does not start; a run that needs it fails with that
    """
    with recorded(run.directory, context.recorder):
        if broken is not None and run.unanswered:
            raise broken
        asked = _ask(run, context.engine)
        if not more:
            context.engine.close_beside()
        with timed("score answers"):
            score_answers(run, asked)
    with timed("log to MLflow"):
        outcome.not_logged = log_run(run.directory, run.images, context.recorder)
    outcome.summary = run.directory.read_summary()
    narration.ended(outcome.summary, asked, outcome.not_logged)
    with timed("report"):
        publish(run, outcome.summary, asked, context.recorder)


def _ask(run: OpenRun, engine: EngineSession) -> AskedRun:
    """Has the run's unanswered questions answered, with a bar."""
    with timed("ask questions"), asking_bar(run) as on_event:
        asked = ask_questions(run, engine, on_event)
    if engine.ready_seconds is not None:
        note("  of which the engine's own start", engine.ready_seconds)
        for part, seconds in parts_of_start(asked.engine, engine.log).items():
            note(f"    {part}", seconds)
        engine.ready_seconds = None
    return asked


@contextlib.contextmanager
def _engine(model: ModelConfig, files: Path | None, home: Home) -> Iterator[EngineSession]:
    """The model's engine; closed at the end of the block, whatever ends it."""
    engine = acquire(model, files, home)
    try:
        yield engine
    finally:
        with timed("engine closes"):
            engine.close()


@contextlib.contextmanager
def _released(outcomes: Sequence[CellOutcome]) -> Iterator[None]:
    """Releases the opened runs at the end of the block.

    The engine must have closed by then, because it writes answers until it has.
    """
    try:
        yield
    finally:
        for outcome in outcomes:
            if outcome.run is not None:
                outcome.run.close("cancelled", "the command ended before it was asked")


@contextlib.contextmanager
def _noted_in(outcome: CellOutcome, alone: bool) -> Iterator[None]:
    """Keeps an error that leaves the block as the cell's failure.

    It is logged at once, except for a cell that is `alone`: its flow raises it.
    """
    try:
        yield
    except Exception as error:
        outcome.failure = error
        if not alone:
            cell = outcome.cell
            logger.error("%s on %s: %s", cell.model.name, cell.dataset.name, error)
