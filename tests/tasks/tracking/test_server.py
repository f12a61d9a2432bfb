"""Against real `mlflow server` processes, killed where it hurts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks import tracking
from pixtrack.tasks.servers import deadline
from pixtrack.tasks.servers.launcher import free_port
from pixtrack.tasks.tracking import TrackingUnavailable, log, traces, waiting
from pixtrack.tasks.tracking.connection import client
from pixtrack.tasks.tracking.server import serve
from tests.doubles.door import Door, Mode
from tests.doubles.finished_runs import finished_run
from tests.doubles.patience import at_most
from tests.doubles.synthetic_runs import DatasetFactory

pytestmark = pytest.mark.server

PORT = free_port(0)


@pytest.fixture
def server(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Starts a server on the module's database, as often as a test asks; it ends with the test."""
    folder = home.root / "server"
    folder.mkdir(exist_ok=True)
    stacks: list[Any] = []

    def start() -> subprocess.Popen[bytes]:
        running = serve(f"sqlite:///{folder}/mlflow.db", PORT, folder / "server.log")
        stacks.append(running)
        return running.__enter__().process

    yield start
    for running in stacks:
        running.__exit__(None, None, None)


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_server_killed_in_the_middle_costs_the_log_and_not_the_run(
    home: Home,
    dataset: DatasetFactory,
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = f"http://127.0.0.1:{PORT}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    process = server()
    assert tracking.check_store() == uri
    run = finished_run(dataset)
    run_id = tracking.begin(run)

    # It dies while the run is being logged: parameters and metrics are there, traces are not.
    log_traces = traces.log_traces

    def die(*arguments: Any) -> int:
        kill(process)
        return log_traces(*arguments)

    monkeypatch.setattr(traces, "log_traces", die)
    with at_most(), pytest.raises(TrackingUnavailable) as caught:
        tracking.log_run(run, home.images)
    assert "\n" not in str(caught.value) and uri in str(caught.value)
    monkeypatch.setattr(traces, "log_traces", log_traces)

    # Away from the start: said at once.
    with at_most(), pytest.raises(TrackingUnavailable):
        tracking.sync([run], home.images)

    server()
    (synced,) = tracking.sync([run], home.images)
    assert synced.outcome == "logged"
    mlflow = client(uri)
    found = mlflow.get_run(run_id)
    assert found.info.status == "FINISHED"
    experiment = found.info.experiment_id
    assert len(mlflow.search_runs([experiment])) == 1
    assert len(mlflow.search_traces(locations=[experiment], run_id=run_id)) == 8
    assert len(mlflow.search_logged_models([experiment])) == 1
    assert {"predictions.json", "scores.parquet"} <= {
        one.path for one in mlflow.list_artifacts(run_id)
    }
    before = mlflow.get_run(run_id).to_dictionary()
    (again,) = tracking.sync([run], home.images)
    assert again.outcome == "unchanged"
    assert mlflow.get_run(run_id).to_dictionary() == before
    for trace in mlflow.search_traces(locations=[experiment], run_id=run_id):
        name = trace.data.spans[0].inputs["image"].split("//")[1].split("?")[0]
        (stored,) = home.mlflow_artifacts.rglob(name)  # MLflow only warns about one that is lost
        assert stored.stat().st_size > 100


def test_ui_opens_on_a_free_port_says_so_and_ends_with_its_server(
    home: Home, dataset: DatasetFactory, tmp_path: Path
) -> None:
    import socket

    tracking.log_run(finished_run(dataset), home.images)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "pixtrack.flows.cli.main", "ui", "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout and process.stderr
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        told = "".join(lines)
        link = next(word for word in told.split() if word.startswith("http://127.0.0.1:"))
        assert f":{port}/" not in link and "workflowType=machine_learning" in link
        import httpx

        address = link.partition("/#")[0]
        assert httpx.get(f"{address}/health").status_code == 200
        process.send_signal(signal.SIGTERM)
        process.wait(120)
    assert f"port {port}: it is taken" in process.stderr.read()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health")


def test_no_page_of_others_and_no_password_reaches_the_terminal(
    home: Home, server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Addresses with a login, and an experiment whose name is a command to a terminal."""
    server()
    named = "evil\x1b]0;pwned\x07[bold]"
    client(f"http://127.0.0.1:{PORT}").create_experiment(named)
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"http://ann:pass%2Fword@127.0.0.1:{PORT}",
        "PREFECT_API_URL": "http://ann:hunter2@127.0.0.1:9/api",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pixtrack", "ui", "--all"],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert f"http://127.0.0.1:{PORT}/#/experiments/" in told
    assert "Prefect runs at http://127.0.0.1:9/runs" in told
    assert "evil␛]0;pwned␇[bold]" in told and "\x1b" not in told
    assert not any(secret in told for secret in ("pass%2Fword", "pass/word", "hunter2", "ann:"))

    # A store that is away is named in log lines, refusals and exceptions.
    away = f"http://ann:hunter2@127.0.0.1:{free_port(0)}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away)
    with pytest.raises(TrackingUnavailable) as refused:
        tracking.check_store()
    assert "ann:***@127.0.0.1" in str(refused.value) and "hunter2" not in str(refused.value)
    for command in (["sync"], ["eval", "--model", "pixtral-random", "--limit", "1"]):
        done = subprocess.run(
            [sys.executable, "-m", "pixtrack", *command],
            env={**os.environ, "MLFLOW_TRACKING_URI": away},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        told = done.stdout + done.stderr
        assert done.returncode == 2 and "ann:***@127.0.0.1" in told and "hunter2" not in told


@pytest.mark.parametrize("mode", ["frozen", "drips"])
def test_a_server_that_hangs_holds_up_neither_the_beginning_nor_the_end(
    home: Home,
    dataset: DatasetFactory,
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: Mode,
) -> None:
    server()
    with Door(PORT) as door:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{door.port}")
        run, late = finished_run(dataset), finished_run(dataset, "late")
        assert tracking.begin(run)
        door.shut(mode)
        for step in (lambda: tracking.end(run, "cancelled"), lambda: tracking.begin(late)):
            with at_most():  # MLflow alone: for minutes, or for ever
                step()
        tracking.system.stop(late)
        with pytest.raises(TrackingUnavailable, match="did not answer"):
            tracking.log_run(run, home.images)
    assert os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT") != "5"

    # It hangs in the middle of the logging.
    monkeypatch.setattr(waiting, "LOOK_EVERY_SECONDS", 0.5)
    with Door(PORT) as door:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{door.port}")
        monkeypatch.setattr(log, "_log_files", lambda *_: door.shut(mode))
        with at_most(), pytest.raises(TrackingUnavailable, match="did not answer"):
            tracking.log_run(run, home.images)
        assert door.mode == mode
        assert deadline.something_still_waits()  # so that the command does not wait as it ends


def test_a_store_that_goes_away_before_the_run_begins_does_not_stop_it(
    home: Home,
    dataset: DatasetFactory,
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port(0)}")
    run = finished_run(dataset)
    with at_most():
        assert tracking.begin(run) is None
        tracking.end(run, "completed")
    assert "pixtrack sync" in caplog.text


def test_a_run_that_another_process_is_asking_is_not_synced(
    home: Home, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    record = run.read_record()
    assert record
    run.write_record(record.model_copy(update={"status": "running"}))
    (one,) = tracking.sync([run], home.images)
    assert one.outcome == "unfinished"
