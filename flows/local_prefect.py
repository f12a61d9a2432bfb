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
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from pixtrack.configs.paths import Home
from pixtrack.tasks.servers.launcher import Launched, free_port
from pixtrack.tasks.servers.login import CLIENT_VARIABLE, login
from pixtrack.tasks.servers.prefect_choice import PROFILE_VARIABLE, check, chosen_server
from pixtrack.tasks.servers.prefect_server import QUIET, api_address, prefect_home, prefect_server

RECORD_TIMEOUT_SECONDS = 15.0

logger = logging.getLogger("pixtrack")


class LocalPrefect:
    """A Prefect server as a child of this process; a context manager.

    `start` returns at once; `wait` blocks until the server answers; the flow runs within
    `without_heartbeats`; `stop` waits for the records of the flow run before it ends the server.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._server: Launched | None = None

    def start(self) -> None:
        """Starts the server and points this process's Prefect at it, before prefect is imported.

        Raises UserError where a server of the user's own does not answer: nothing else has been
        started for nothing by then.
        """
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        chosen = chosen_server(self._home)
        if chosen is not None:
            check(chosen)
            chosen.set_in(os.environ)
            return
        port = free_port()
        log = self._home.prefect / "server.log"
        self._server = Launched(prefect_server(self._home, port, log, pages=False))
        os.environ["PREFECT_HOME"] = str(prefect_home(self._home))
        os.environ["PREFECT_API_URL"] = api_address(port)
        os.environ[CLIENT_VARIABLE] = login(self._home)
        os.environ.pop(PROFILE_VARIABLE, None)  # of the user's Prefect home, and this is another

    def wait(self) -> None:
        """Blocks until the server answers. Raises UserError, with the log's path, if it does not."""
        if self._server is not None:
            self._server.wait_until_healthy()

    @contextmanager
    def without_heartbeats(self) -> Iterator[None]:
        """No heartbeats of the flow run, which tell a server that watches it that it has crashed.

        Nobody watches a server that lives as long as the command, and a flow waits up to a second
        for the thread that sends them.
        """
        if self._server is None:
            yield
            return
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield

    def stop(self, flow_run_id: str | None = None) -> None:
        """Waits until the flow run's task runs are recorded, then ends the server."""
        if self._server is None:
            return
        if self._server.process.poll() is None and "prefect" in sys.modules:
            try:
                _send_what_is_queued()
                if flow_run_id:
                    _wait_for_records(flow_run_id)
                _send_what_is_queued()
            except Exception as error:  # what was computed matters more than the last records
                logger.warning("Prefect's server did not take every record: %s", error)
        self._server.stop(seconds=10)
        self._server = None

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
