"""What every recorder promises: MLflow, and the double that stands in for it in other tests."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Protocol

import pytest
from mlflow import MlflowClient

from pixtrack.configs.paths import Home
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking import TrackingUnavailable, tracking_uri
from pixtrack.tasks.tracking.mlflow_recorder import MlflowRecorder
from pixtrack.tasks.tracking.recorder import Recorder, Report, ReportRecorder
from pixtrack.tasks.tracking.recording import log_or_reason, recorded
from tests.doubles.finished_runs import finished_run
from tests.doubles.recorder import MemoryRecorder
from tests.doubles.synthetic_runs import DatasetFactory


class Both(Recorder, ReportRecorder, Protocol):
    """A recorder of runs and of reports."""


_NUMBERS = count()


@pytest.fixture
def run(home: Home) -> RunDirectory:
    """A completed run on a dataset (an MLflow experiment) of its own."""
    name = f"recorded{next(_NUMBERS)}"
    return finished_run(DatasetFactory(home, name=name, questions=8, images=4, pixels=(40, 50)))


@pytest.fixture(params=[MlflowRecorder, MemoryRecorder])
def recorder(request: pytest.FixtureRequest, home: Home) -> Both:
    made: Both = request.param()
    return made


@pytest.fixture
def away(recorder: Both, monkeypatch: pytest.MonkeyPatch) -> Both:
    """The same recorder, gone."""
    if isinstance(recorder, MemoryRecorder):
        recorder.away = "http://127.0.0.1:9 cannot be reached"
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    return recorder


def shown(recorder: Both, run: RunDirectory) -> str:
    """The run's status at the recorder, in a record's words."""
    if isinstance(recorder, MemoryRecorder):
        return recorder.statuses[run.path.name][-1]
    record = run.read_record()
    assert record is not None and record.mlflow_run_id is not None
    status = MlflowClient(tracking_uri()).get_run(record.mlflow_run_id).info.status
    words = {"RUNNING": "running", "FINISHED": "completed", "KILLED": "cancelled"}
    return words.get(status, "failed")


def test_a_run_is_logged_once_and_has_links(recorder: Both, run: RunDirectory) -> None:
    recorder.check()
    assert recorder.links(run) == {}
    with recorded(run, recorder):
        assert shown(recorder, run) == "running"
    assert recorder.log(run, run.path)
    assert shown(recorder, run) == "completed"
    assert "run" in recorder.links(run)
    assert not recorder.log(run, run.path)


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "cancelled"), (ValueError("no card"), "failed")]
)
def test_what_ends_a_run_is_in_its_record_and_at_the_recorder(
    recorder: Both, run: RunDirectory, error: BaseException, status: str
) -> None:
    with pytest.raises(type(error)), recorded(run, recorder):
        raise error
    record = run.read_record()
    assert record is not None
    assert (record.status, record.message) == (status, str(error) or "KeyboardInterrupt")
    assert shown(recorder, run) == status


def test_a_run_that_was_never_begun_is_not_ended(recorder: Both, run: RunDirectory) -> None:
    recorder.end(run, "failed")
    assert recorder.links(run) == {}


def test_a_recorder_that_is_away_costs_the_entry_only(away: Both, run: RunDirectory) -> None:
    with pytest.raises(TrackingUnavailable, match=r"127\.0\.0\.1"):
        away.check()
    with recorded(run, away):
        pass
    away.end(run, "completed")
    assert "127.0.0.1" in log_or_reason(run, run.path, away)
    with pytest.raises(TrackingUnavailable):
        away.log_report(Report("mine", run.path))


def test_a_report_replaces_the_one_of_its_name(recorder: Both, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "index.html").write_text("<p>1</p>")
    first = recorder.log_report(Report("mine", folder, note="A wins.", metrics={"a": 1.0}))
    assert recorder.log_report(Report("mine", folder, note="B wins.")) == first


def test_the_link_of_a_comparison_opens_its_page_and_not_the_list_of_its_files(
    home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    recorder = MlflowRecorder()
    assert home.root and "/artifacts?" in recorder.log_report(Report("without a page", folder))
    (folder / "index.html").write_text("<p>1</p>")
    assert "/artifacts/index.html?" in recorder.log_report(Report("with one", folder))


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "cancelled"), (ValueError("no"), "failed")]
)
def test_a_logging_that_breaks_off_does_not_leave_the_run_running(
    run: RunDirectory, error: BaseException, status: str
) -> None:
    class Broken(MemoryRecorder):
        def log(self, run: RunDirectory, images: Path) -> bool:
            raise error

    recorder = Broken()
    with recorded(run, recorder), pytest.raises(type(error)):
        log_or_reason(run, run.path, recorder)
    assert recorder.statuses[run.path.name] == ["running", status]
