"""What a step that breaks off leaves behind."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pixtrack.flows.cells as module
from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, load_model, load_prompt
from pixtrack.configs.paths import Home
from pixtrack.tasks.inference.host.session import EngineFailed
from pixtrack.tasks.records import Answer, PreparedDataset, Sample, SampleImage
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord
from pixtrack.tasks.runs.journal import Journal
from pixtrack.tasks.runs.opening import Cell, OpenRun, open_run
from pixtrack.tasks.runs.protocol import Event
from pixtrack.tasks.scoring.finishing import finish_run
from pixtrack.tasks.tracking import TrackingUnavailable
from pixtrack.tasks.tracking.recording import log_or_reason
from tests.doubles.recorder import MemoryRecorder


class FakeEngine:
    """An engine session whose hand-over of questions ends as `error` says, and its close as `done`."""

    def __init__(self, error: BaseException, done: Callable[[], None] = lambda: None) -> None:
        self._error, self.close = error, done

    def submit(self, run: OpenRun) -> None:
        raise self._error

    def __enter__(self) -> FakeEngine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cell:
    """A cell of one question, with everything around its engine replaced."""
    dataset, prompt = load_dataset("sample"), load_prompt("plain").for_dataset("sample")
    sample = Sample(0, "0", "How much?", ("42",), (SampleImage("0", "0.png", 100, 100),))
    prepared = PreparedDataset("sample", tmp_path, tmp_path, "d" * 64, (sample,), {})
    monkeypatch.setattr(module, "check_environment", lambda *_: [])
    monkeypatch.setattr(module, "report_before_start", lambda *_: None)
    monkeypatch.setattr(module, "as_json", lambda _checks: "[]")
    monkeypatch.setattr(module, "_fetch", lambda *_: (tmp_path, {"files": "f" * 64}))
    monkeypatch.setattr(module, "prepare_dataset", lambda *_: prepared)
    monkeypatch.setattr(module, "engine_facts", lambda *_: {"name": "none"})
    monkeypatch.setattr(module, "longest_request", lambda *_: None)
    monkeypatch.setattr(module, "identify_engine", lambda model: model)
    monkeypatch.setattr(module, "open_the_run", open_run)
    return Cell(load_model("pixtral-nano"), dataset, prompt)


def record_in(home: Path) -> RunRecord:
    (file,) = home.glob("runs/sample/*/run.json")
    record = RunDirectory(file.parent).read_record()
    assert record is not None
    return record


def test_a_run_whose_questions_cannot_be_handed_over_is_released(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cell: Cell
) -> None:
    refused = FakeEngine(UserError("no space left"))
    monkeypatch.setattr(module, "acquire", lambda *_: refused)
    recorder = MemoryRecorder()
    (outcome,) = module.run_cells([cell], Home(tmp_path), recorder)
    assert isinstance(outcome.failure, UserError) and outcome.error == "no space left"
    record = record_in(tmp_path)
    assert (record.status, record.message) == ("failed", "no space left")
    assert not held_now(tmp_path)
    assert recorder.statuses == {}  # never begun there


def test_a_tracker_that_is_away_is_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cell: Cell
) -> None:
    monkeypatch.setattr(module, "check_environment", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(TrackingUnavailable, match="start it"):
        module.run_cells([cell], Home(tmp_path), MemoryRecorder(away="start it"))


class Answering(FakeEngine):
    """An engine session that answers every question with 42, or fails as `fails` says."""

    def __init__(self, fails: list[EngineFailed | None], ready: bool = True) -> None:
        super().__init__(UserError("unused"))
        self._fails, self.was_ready = fails, ready
        self.ready_seconds: float | None = None
        self.asked: list[str] = []
        self.closed = 0
        self.close = self._close

    def submit(self, run: OpenRun) -> None:
        pass

    def ask(self, run: OpenRun, on_event: Callable[[Event], None]) -> AskedRun:
        self.asked.append(run.cell.prompt.name)
        failure = self._fails.pop(0)
        if failure is not None:
            raise failure
        with Journal(run.directory.journal_file, run.fingerprint) as journal:
            journal.append(Answer(0, "42", "stop"))
        return AskedRun(1, 0.5, "2026-01-01T10:00:00.000+00:00")

    def close_beside(self) -> None:
        self.closed += 1

    def _close(self) -> None:
        self.closed += 1


def cells_of(cell: Cell, *prompts: str) -> list[Cell]:
    return [replace(cell, prompt=load_prompt(name).for_dataset("sample")) for name in prompts]


def asked_by(
    engine: Answering, monkeypatch: pytest.MonkeyPatch
) -> Callable[[OpenRun, Any, Callable[[Event], None]], AskedRun]:
    """`ask_questions` without Prefect, with that engine."""
    monkeypatch.setattr(module, "acquire", lambda *_: engine)
    monkeypatch.setattr(module, "publish", lambda *_: None)
    monkeypatch.setattr(module, "score_answers", finish_run)
    monkeypatch.setattr(module, "log_run", log_or_reason)

    def ask(run: OpenRun, _engine: Any, on_event: Callable[[Event], None]) -> AskedRun:
        return engine.ask(run, on_event) if run.unanswered else AskedRun()

    monkeypatch.setattr(module, "ask_questions", ask)
    return ask


def test_a_cell_whose_engine_dies_does_not_keep_the_next_from_a_fresh_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cell: Cell, caplog: pytest.LogCaptureFixture
) -> None:
    engine, recorder = Answering([EngineFailed("died"), None]), MemoryRecorder()
    asked_by(engine, monkeypatch)
    first, second = module.run_cells(
        cells_of(cell, "plain", "mistral_evals"), Home(tmp_path), recorder
    )
    assert (first.error, first.summary) == ("died", None)
    assert second.summary is not None and second.summary.answered == 1
    assert "pixtral-nano on sample: died" in caplog.text
    assert list(recorder.statuses.values()) == [
        ["running", "failed"],
        ["running", "completed"],
    ]


def test_an_engine_that_does_not_even_start_is_started_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cell: Cell
) -> None:
    engine = Answering([EngineFailed("no such file")], ready=False)
    asked_by(engine, monkeypatch)
    outcomes = module.run_cells(
        cells_of(cell, "plain", "mistral_evals"), Home(tmp_path), MemoryRecorder()
    )
    assert [outcome.error for outcome in outcomes] == ["no such file", "no such file"]
    assert engine.asked == ["plain"]


def test_a_tracker_that_goes_away_costs_the_log_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cell: Cell
) -> None:
    engine, recorder = Answering([None]), MemoryRecorder()
    ask = asked_by(engine, monkeypatch)

    def ask_while_it_goes(*arguments: Any) -> AskedRun:
        recorder.away = "the server is away"
        return ask(*arguments)

    monkeypatch.setattr(module, "ask_questions", ask_while_it_goes)
    (outcome,) = module.run_cells([cell], Home(tmp_path), recorder)
    assert outcome.summary is not None and outcome.summary.status == "completed"
    assert outcome.not_logged == "the server is away"


def test_the_engine_closes_while_the_last_run_is_scored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cell: Cell
) -> None:
    engine = Answering([None, None])
    asked_by(engine, monkeypatch)
    closed: list[int] = []

    def score(run: OpenRun, asked: AskedRun) -> Any:
        closed.append(engine.closed)
        return finish_run(run, asked)

    monkeypatch.setattr(module, "score_answers", score)
    module.run_cells(cells_of(cell, "plain", "mistral_evals"), Home(tmp_path), MemoryRecorder())
    assert closed == [0, 1]


def held_now(home: Path) -> bool:
    (lock,) = home.glob("runs/sample/*/.lock")
    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_run_is_held_until_its_engine_is_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cell: Cell
) -> None:
    """Its children write answers until then."""
    seen: list[bool] = []
    engine = FakeEngine(UserError("unused"), lambda: seen.append(held_now(tmp_path)))
    monkeypatch.setattr(engine, "submit", lambda run: None)
    monkeypatch.setattr(module, "acquire", lambda *_: engine)

    def cancelled(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "ask_questions", cancelled)
    with pytest.raises(KeyboardInterrupt):
        module.run_cells([cell], Home(tmp_path), MemoryRecorder())
    assert seen[0] and not held_now(tmp_path)
    assert record_in(tmp_path).status == "cancelled"


def test_runs_that_were_opened_and_not_asked_do_not_stay_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cell: Cell
) -> None:
    asked_by(Answering([]), monkeypatch)

    def cancelled(*_: Any) -> AskedRun:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "ask_questions", cancelled)
    with pytest.raises(KeyboardInterrupt):
        module.run_cells(cells_of(cell, "plain", "mistral_evals"), Home(tmp_path), MemoryRecorder())
    records = [
        RunDirectory(file.parent).read_record() for file in tmp_path.glob("runs/sample/*/run.json")
    ]
    ended = {record.prompt: (record.status, record.message) for record in records if record}
    assert ended == {
        "plain": ("cancelled", "KeyboardInterrupt"),
        "mistral_evals": ("cancelled", "the command ended before it was asked"),
    }
