"""Prefect without a server to start: one of our own, for the length of a command.

Prefect's built-in ephemeral mode records task runs from events that are still in flight when the
process exits, and loses them (measured: 15 of 500 recorded). Here the documented server runs as a
child process on a loopback port, starts beside the engine, and is stopped only once every task
run of the flow has been recorded. Its database lies in the data home, so `make ui-all` shows the
runs of `make eval` too.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.processes import die_with_parent, stop

START_TIMEOUT_SECONDS = 180.0
"""A first start on a slow disk migrates an empty database: 25 s measured on two busy cores."""

RECORD_TIMEOUT_SECONDS = 15.0

CONNECT_SECONDS = 10.0

logger = logging.getLogger("pixtrack")

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_COLORS": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""No telemetry unless the user asked for it: each tool reads another variable."""


def uses_own_server() -> bool:
    """Whether no Prefect API is configured, by variable or by the user's profile."""
    if any(os.environ.get(name) for name in ("PREFECT_API_URL", "PREFECT_PROFILE")):
        return False
    chosen = os.environ.get("PREFECT_HOME")
    profiles = Path(chosen).expanduser() if chosen else Path.home() / ".prefect"
    profile = profiles / "profiles.toml"
    return not (profile.exists() and "PREFECT_API_URL" in profile.read_text(errors="ignore"))


class LocalPrefect:
    """A Prefect server as a child of this process; a context manager.

    `start` returns at once; `wait` blocks until the server answers; the flow runs within
    `without_heartbeats`; `stop` waits for the records of the flow run before it ends the server.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._log = home.prefect / "server.log"
        self._health = ""

    def start(self) -> None:
        """Starts the server and points this process's Prefect at it, before prefect is imported.

        Raises UserError where a server of the user's own does not answer: nothing else has been
        started for nothing by then.
        """
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        if not uses_own_server():
            _check_users_server()
            return
        self._home.prefect.mkdir(parents=True, exist_ok=True)
        port = _free_port()
        os.environ.setdefault("PREFECT_HOME", str(self._home.prefect))
        api = f"http://127.0.0.1:{port}/api"
        self._health = f"{api}/health"
        environment = {**os.environ, "PREFECT_UI_ENABLED": "false"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "prefect",
                    "server",
                    "start",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(port),
                    "--no-ui",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        os.environ["PREFECT_API_URL"] = api

    def wait(self) -> None:
        """Blocks until the server answers. Raises UserError, with the log's path, if it does not."""
        if self._process is None:
            return
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self._health, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        raise UserError(
            f"Prefect's local server did not start: see {self._log}; "
            "or set PREFECT_API_URL to a server that runs"
        )

    @contextmanager
    def without_heartbeats(self) -> Iterator[None]:
        """No heartbeats of the flow run, which tell a server that watches it that it has crashed.

        Nobody watches a server that lives as long as the command, and a flow waits up to a second
        for the thread that sends them.
        """
        if self._process is None:
            yield
            return
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield

    def stop(self, flow_run_id: str | None = None) -> None:
        """Waits until the flow run's task runs are recorded, then ends the server."""
        if self._process is None:
            return
        if self._process.poll() is None and "prefect" in sys.modules:
            try:
                _send_what_is_queued()
                if flow_run_id:
                    _wait_for_records(flow_run_id)
                _send_what_is_queued()
            except Exception as error:  # what was computed matters more than the last records
                logger.warning("Prefect's server did not take every record: %s", error)
        stop(self._process, seconds=10)
        self._process = None

    def __enter__(self) -> LocalPrefect:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _check_users_server() -> None:
    """Raises UserError where nothing answers at PREFECT_API_URL; any HTTP answer will do."""
    api = os.environ.get("PREFECT_API_URL", "")
    if not api:
        return  # a profile's server: Prefect knows its address and its credentials
    try:
        with urllib.request.urlopen(f"{api.rstrip('/')}/health", timeout=CONNECT_SECONDS):
            pass
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"Prefect's server at PREFECT_API_URL={api} cannot be reached ({reason}): start it "
            "(make deploy), or unset the variable to use pixtrack's own"
        ) from None


def _send_what_is_queued() -> None:
    """Logs and events leave this process through background queues: empty them."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    EventsWorker.drain_all(timeout=RECORD_TIMEOUT_SECONDS)
    APILogHandler().flush()


def _wait_for_records(flow_run_id: str) -> None:
    """Until every task run that the server knows of this flow run has its final state."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    deadline = time.monotonic() + RECORD_TIMEOUT_SECONDS
    previous = -1
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            runs = client.read_task_runs(flow_run_filter=wanted)
            settled = all(run.state is not None and run.state.is_final() for run in runs)
            if settled and len(runs) == previous:
                return
            previous = len(runs) if settled else -1
            time.sleep(0.3)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
