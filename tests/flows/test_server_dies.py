"""Prefect's server may die, freeze or fail at any moment: it costs a run seconds, and no answer.

With a server of the command's own, killed or stopped by signals, and with a user's, behind a door
that a test shuts. What answers is an endpoint's double that takes its time.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from pixtrack.configs.paths import Home
from pixtrack.flows.deploying import _IMPATIENT
from pixtrack.tasks.owners import owner
from pixtrack.tasks.servers.launcher import free_port, running
from pixtrack.tasks.servers.login import login
from pixtrack.tasks.servers.prefect_server import prefect_server
from tests.doubles.door import Door, Mode
from tests.doubles.endpoint import Endpoint, held_after
from tests.doubles.patience import wait_until
from tests.doubles.prefect_servers import copy_database

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]

QUESTIONS = 40
END_SECONDS = 120.0
"""Until a command has ended: seconds on a machine with time to spare. Without what is tested here
it waits for its server for ever, or as long as Prefect tries again."""


@dataclass
class Command:
    """An evaluation on its way, and the model that it asks."""

    process: subprocess.Popen[str]
    endpoint: Endpoint
    release: threading.Event
    """Set: the model answers at once."""

    def half_way(self) -> None:
        """Returns once a half of the questions have been asked; the others wait."""

        def reached() -> bool:
            assert self.process.poll() is None, self.process.communicate()
            return len(self.endpoint.requests) >= QUESTIONS // 2

        wait_until(reached, "half of the questions are asked", 180)

    def server(self) -> psutil.Process:
        """The Prefect server that the command has started."""
        (found,) = [
            child
            for child in psutil.Process(self.process.pid).children()
            if "pixtrack.tasks.servers.prefect_app" in child.cmdline()
        ]
        return found

    def finish(self) -> tuple[dict[str, Any], str]:
        """Lets the rest be answered: the summary, and what was said."""
        self.release.set()
        out, err = self.process.communicate(timeout=END_SECONDS)
        assert self.process.returncode == 0, err[-3000:]
        return json.loads(out), err


@pytest.fixture(scope="module")
def home(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    copy_database(prefect_database, home / "prefect")
    return home


EVAL = ("-m", "pixtrack", "eval", "--model", "endpoint", "--limit", str(QUESTIONS), "--json")


@contextmanager
def command(
    home: Path, api: str = "", program: Sequence[str] = EVAL, **more: str
) -> Iterator[Command]:
    """`pixtrack eval --json`, with a server of its own or the one at `api`."""
    release = threading.Event()
    hidden = ("PREFECT_", "MLFLOW_TRACKING_URI", "OPENAI_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    with Endpoint(answer=held_after(QUESTIONS // 2, release)) as endpoint:
        environment = {**kept, "PIXTRACK_HOME": str(home), "HOME": str(home), **more}
        environment |= {"OPENAI_BASE_URL": endpoint.url}
        if api:
            environment["PREFECT_API_URL"] = api
        process = subprocess.Popen(
            [sys.executable, *program],
            env=environment, cwd=home, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            yield Command(process, endpoint, release)
        finally:
            release.set()
            process.kill()
            process.communicate()


def check(summary: dict[str, Any], said: str) -> None:
    assert (summary["answered"], summary["failed"], summary["status"]) == (
        QUESTIONS, 0, "completed",
    )  # fmt: skip
    assert (
        "Traceback" not in said and "Error logging to API" not in said and "Warning" not in said
    ), said
    (line,) = [line for line in said.splitlines() if "has failed (" in line]
    assert line.startswith("Prefect's server http://") and "the run goes on" in line


FAULTS: dict[str, Callable[[psutil.Process], None]] = {
    "killed": lambda server: server.kill(),
    "frozen": lambda server: server.suspend(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_ends_whole_when_its_own_server_dies(home: Path, fault: str) -> None:
    with command(home) as running_command:
        running_command.half_way()
        server = running_command.server()
        FAULTS[fault](server)
        check(*running_command.finish())
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("fault", "number"), [("frozen", signal.SIGTERM), ("killed", signal.SIGHUP)]
)
def test_a_signal_ends_it_in_time_when_its_own_server_is_dead(
    home: Path, fault: str, number: signal.Signals
) -> None:
    with command(home) as running_command:
        running_command.half_way()
        server = running_command.server()
        FAULTS[fault](server)
        ended(running_command, number)
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def ended(running_command: Command, number: signal.Signals) -> None:
    """Sends the signal; asserts that the command ends, and says that nothing is lost."""
    running_command.process.send_signal(number)
    _, said = running_command.process.communicate(timeout=END_SECONDS)
    assert "Traceback" not in said, said
    assert "what is answered is kept" in said
    assert running_command.process.returncode == 128 + number


@dataclass
class Users:
    """A user's server behind a door."""

    door: Door
    login: str

    @property
    def api(self) -> str:
        return f"http://{self.login}@127.0.0.1:{self.door.port}/api"


@pytest.fixture(scope="module")
def users_server(
    prefect_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, str]]:
    """A real server of the user's: its port and its login."""
    folder = Home(tmp_path_factory.mktemp("users"))
    copy_database(prefect_database, folder.prefect)
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_HOME", raising=False)
        server = prefect_server(folder, port, folder.root / "log", pages=False)
    with running(server):
        yield port, login(folder)


@pytest.fixture
def users(users_server: tuple[int, str]) -> Iterator[Users]:
    port, password = users_server
    with Door(port) as door:
        yield Users(door, password)


@pytest.mark.parametrize("mode", ["closed", "errors", "drips"])
def test_a_run_ends_whole_when_the_users_server_fails(home: Path, users: Users, mode: Mode) -> None:
    with command(home, users.api) as running_command:
        running_command.half_way()
        users.door.shut(mode)
        summary, said = running_command.finish()
        check(summary, said)
        assert users.login.partition(":")[2] not in said


def test_sigterm_ends_it_in_time_when_the_users_server_drips(home: Path, users: Users) -> None:
    with command(home, users.api) as running_command:
        running_command.half_way()
        users.door.shut("drips")
        ended(running_command, signal.SIGTERM)


def test_a_run_whose_server_fails_before_the_flow_begins_runs_without_it(
    home: Path, users: Users
) -> None:
    """The engine starts after the server has been looked at: it fails in between."""
    with command(home, users.api) as running_command:
        wait_until(lambda: users.door.done, "the check before any work is over", 120, every=0.01)
        users.door.shut("frozen")
        check(*running_command.finish())


def test_a_frozen_server_that_comes_back_is_told_how_the_run_ended(
    home: Path, users: Users, users_server: tuple[int, str]
) -> None:
    port, password = users_server
    before = noted(home)
    with command(home, users.api) as running_command:
        running_command.half_way()
        users.door.shut("frozen")
        check(*running_command.finish())
    (note,) = noted(home) - before
    with Door(port) as door:
        another_run(home, Users(door, password).api)
    assert note not in noted(home)
    state = flow_run(port, password, note)["state"]
    assert state["type"] == "COMPLETED" and "reported by a later command" in state["message"]


def test_the_flow_run_of_a_killed_command_does_not_stay_running(
    home: Path, users: Users, users_server: tuple[int, str]
) -> None:
    port, password = users_server
    before = noted(home)
    with command(home, users.api) as killed, command(home, users.api) as alive:
        killed.half_way()
        alive.half_way()
        notes = noted(home) - before
        assert len(notes) == 2
        killed.process.kill()
        killed.process.wait()
        another_run(home, users.api)
        ends = {flow_run(port, password, note)["state"]["type"] for note in notes}
        assert ends == {"CRASHED", "RUNNING"}  # the one that lives is left alone
        (gone,) = notes - noted(home)
        found = httpx.post(
            f"http://127.0.0.1:{port}/api/task_runs/filter",
            json={"flow_runs": {"id": {"any_": [gone]}}},
            auth=user_and_secret(password),
        )
        assert {one["state"]["type"] for one in found.json()} <= {"CRASHED", "COMPLETED"}
        alive.finish()


def user_and_secret(password: str) -> tuple[str, str]:
    """User and password as httpx takes them."""
    user, _, secret = password.partition(":")
    return user, secret


AS_A_WORKER = f"""
from pixtrack.flows.evaluate import evaluate
evaluate(model="endpoint", limit={QUESTIONS})
"""
"""What the process of a worker's flow run does: Prefect's own engine runs the flow."""


def test_a_workers_run_ends_whole_when_the_server_dies(home: Path, users: Users) -> None:
    api = f"http://127.0.0.1:{users.door.port}/api"
    impatient = {"PREFECT_API_AUTH_STRING": users.login, **_IMPATIENT}
    before, runs = noted(home), {*home.glob("runs/sample/*")}
    with command(home, api, ("-c", AS_A_WORKER), **impatient) as running_command:
        running_command.half_way()
        users.door.shut("closed")
        running_command.release.set()
        # It says what it likes of the server.
        running_command.process.communicate(timeout=2 * END_SECONDS)
    (run,) = {*home.glob("runs/sample/*")} - runs
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["answered"], summary["status"]) == (QUESTIONS, "completed")
    with closing(sqlite3.connect(home / "mlflow.db")) as store:
        known = dict(store.execute("select run_uuid, status from runs").fetchall())
    assert known[summary["mlflow_run_id"]] == "FINISHED"
    (note,) = noted(home) - before
    kept = json.loads((home / "prefect" / "flow-runs" / f"{note}.json").read_text())
    assert kept["ended"] == "COMPLETED"  # what the next command tells the server


BECOME_WORKER = """
import os
os.execve = lambda *_: None  # it ends here
from pixtrack.configs.paths import home
from pixtrack.flows.deploying import become_worker
become_worker(home())
"""


def test_the_flow_run_of_a_killed_worker_does_not_keep_the_pools_place(
    home: Path, users: Users, users_server: tuple[int, str]
) -> None:
    port, password = users_server
    api, login_of = f"http://127.0.0.1:{port}/api", httpx.BasicAuth(*password.split(":"))
    flow = httpx.post(f"{api}/flows/", json={"name": "evaluate"}, auth=login_of).json()
    runs = []
    for _ in range(2):
        body = {"flow_id": flow["id"], "state": {"type": "RUNNING"}}
        runs.append(httpx.post(f"{api}/flow_runs/", json=body, auth=login_of).json()["id"])
    dead = subprocess.Popen(["sleep", "60"])
    notes = Home(home).prefect / "flow-runs"
    notes.mkdir(parents=True, exist_ok=True)
    for run, process in zip(runs, (dead.pid, os.getpid()), strict=True):
        (notes / f"{run}.json").write_text(json.dumps({"owner": owner(process)}))
    dead.kill()
    dead.wait()
    hidden = ("PREFECT_", "MLFLOW_TRACKING_URI")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    environment = {
        **kept,
        "PIXTRACK_HOME": str(home),
        "HOME": str(home),
        "PREFECT_API_URL": users.api,
    }
    done = subprocess.run(
        [sys.executable, "-c", BECOME_WORKER],
        env=environment, cwd=home, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    states = [flow_run(port, password, run)["state"]["type"] for run in runs]
    assert states == ["CRASHED", "RUNNING"]  # the one that lives is left alone
    assert "flow runs of dead processes are ended" in done.stderr
    (notes / f"{runs[1]}.json").unlink()


def noted(home: Path) -> set[str]:
    """The flow runs that are noted in the data home as not ended."""
    return {note.stem for note in (home / "prefect" / "flow-runs").glob("*.json")}


def another_run(home: Path, api: str) -> None:
    """A whole evaluation at that server."""
    with command(home, api) as running_command:
        running_command.release.set()
        running_command.finish()


def flow_run(port: int, password: str, flow_run_id: str) -> dict[str, Any]:
    """A flow run as the server itself has it."""
    api = f"http://127.0.0.1:{port}/api/flow_runs/{flow_run_id}"
    found: dict[str, Any] = httpx.get(api, auth=user_and_secret(password)).json()
    return found
