"""What a step that breaks off leaves behind."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pixtrack.flows.steps as module
from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, load_model, load_prompt
from pixtrack.configs.paths import Home
from pixtrack.tasks.records import PreparedDataset, Sample, SampleImage
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord
from pixtrack.tasks.runs.opening import Cell, OpenRun, open_run
from pixtrack.tasks.tracking import TrackingUnavailable


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "cancelled"), (ValueError("no"), "failed")]
)
def test_a_logging_that_breaks_off_does_not_leave_the_mlflow_run_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, status: str
) -> None:
    ended: list[str] = []

    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(module, "log_to_mlflow", broken)
    monkeypatch.setattr(module, "end", lambda _run, status: ended.append(status))
    run: Any = SimpleNamespace(directory=RunDirectory(tmp_path), images=tmp_path)
    with pytest.raises(type(error)):
        module._log(run)
    assert ended == [status]


def test_a_store_that_went_away_costs_the_log_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def away(*_: Any) -> None:
        raise TrackingUnavailable("the server is away")

    monkeypatch.setattr(module, "log_to_mlflow", away)
    run: Any = SimpleNamespace(directory=RunDirectory(tmp_path), images=tmp_path)
    assert module._log(run) == "the server is away"


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
    monkeypatch.setattr(module, "report_before_start", lambda _model: None)
    monkeypatch.setattr(module, "as_json", lambda _checks: "[]")
    monkeypatch.setattr(module, "_files_of", lambda *_: (tmp_path, {"files": "f" * 64}))
    monkeypatch.setattr(module, "prepare_dataset", lambda *_: prepared)
    monkeypatch.setattr(module, "engine_facts", lambda *_: {"name": "none"})
    monkeypatch.setattr(module, "open_the_run", open_run)
    return Cell(load_model("pixtral-nano"), dataset, prompt)


def record_in(home: Path) -> RunRecord:
    (file,) = home.glob("runs/sample/*/run.json")
    record = RunDirectory(file.parent).read_record()
    assert record is not None
    return record


@pytest.mark.parametrize("go_on", [False, True])
def test_a_run_whose_questions_cannot_be_handed_over_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cell: Cell, go_on: bool
) -> None:
    refused = FakeEngine(UserError("no space left"))
    monkeypatch.setattr(module, "acquire", lambda *_: refused)
    if go_on:
        (outcome,) = module.run_cells([cell], Home(tmp_path), go_on=True, track=False)
        assert outcome.error == "no space left"
    else:
        with pytest.raises(UserError, match="no space left"):
            module.run_cells([cell], Home(tmp_path), track=False)
    record = record_in(tmp_path)
    assert (record.status, record.message) == ("failed", "no space left")
    assert not held_now(tmp_path)


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
        module.run_cells([cell], Home(tmp_path), track=False)
    assert seen[0] and not held_now(tmp_path)
    assert record_in(tmp_path).status == "cancelled"
