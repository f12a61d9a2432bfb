"""The Prefect server of a command: the user's, or one of our own for as long as the command runs.

Prefect's built-in ephemeral mode records task runs from events that are still in flight when the
process exits, and loses them (measured: 15 of 500 recorded). Here the documented server runs as a
child process on a loopback port, starts beside the engine, and is stopped only once every task
run of the flow has been recorded. Its database lies in the data home, so `make ui-all` shows the
runs of `make eval` too.
"""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pixtrack.configs.paths import Home
from pixtrack.tasks.servers.launcher import Launched, free_port
from pixtrack.tasks.servers.login import CLIENT_VARIABLE, login
from pixtrack.tasks.servers.prefect_choice import PROFILE_VARIABLE, check, chosen_server
from pixtrack.tasks.servers.prefect_server import QUIET, api_address, prefect_home, prefect_server

if TYPE_CHECKING:
    from prefect import Flow

    from pixtrack.flows.reported import Outcome

RECORD_SECONDS = 5.0
"""How long a command waits at its end until the server has recorded everything."""

CANCELLED_SECONDS = 1.5
"""The same after a signal, and how long the server may take to end: a command ends within 10 s of
the signal, of which its engine may take six."""

_IMPATIENT = {"PREFECT_API_REQUEST_TIMEOUT": "5", "PREFECT_CLIENT_MAX_RETRIES": "0"}
"""Limits for requests that Prefect makes by itself, in threads of its own."""


class LocalPrefect:
    """A command's Prefect server; `start`, `wait`, `run` a flow, and `stop` in any case.

    `start` returns at once; `wait` blocks until the server answers; `stop` waits for the records of
    the flow run, for seconds, before it ends a server of our own.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._server: Launched | None = None
        self._outcome: Outcome | None = None

    def start(self) -> None:
        """Starts the server and points this process's Prefect at it, before prefect is imported.

        Raises UserError where a server of the user's own does not answer; this is checked before
        anything else is started.
        """
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        os.environ.update(_IMPATIENT)
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
        """Blocks until the server answers. Raises UserError, with the log's path, if it does not.

        Then ends, beside the work, flow runs of commands that were killed.
        """
        if self._server is not None:
            self._server.wait_until_healthy()
        from pixtrack.tasks.prefecting.reaping import reap
        from pixtrack.tasks.prefecting.reports import api, reports

        reports().submit(lambda: reap(self._home, api().call))

    def run(self, flow: Flow[..., Any], *arguments: Any, **named: Any) -> dict[str, Any]:
        """What the flow returns, whatever happens to the server; raises what the flow raises."""
        from pixtrack.flows.reported import Outcome, run_reported

        self._outcome = Outcome()
        with self._without_heartbeats():
            run_reported(flow, self._home, self._outcome, *arguments, **named)
        return self._outcome.data()

    def _without_heartbeats(self) -> Any:
        """Turns off the flow run's heartbeats, by which a server recognises a crashed flow run.

        A server that lives as long as the command has no use for them, and a flow waits up to a
        second for the thread that sends them.
        """
        if self._server is None:
            return nullcontext()
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})

    def stop(self) -> None:
        """Waits, for seconds, until everything is recorded, then ends a server of our own."""
        cancelled = self._outcome is not None and self._outcome.ended == "CRASHED"
        seconds = CANCELLED_SECONDS if cancelled else RECORD_SECONDS
        recorded = self._settle(seconds) if self._outcome is not None else False
        if self._server is not None:
            self._server.stop(seconds if recorded else 1)
            self._server = None

    def _settle(self, seconds: float) -> bool:
        """Waits until the server has every report and has recorded every task run; whether it
        has.
        """
        from pixtrack.tasks.prefecting.reaping import FINAL
        from pixtrack.tasks.prefecting.reports import api, reports

        deadline = time.monotonic() + seconds
        if not reports().flush(seconds) or self._server is None:
            return not reports().away
        assert self._outcome is not None
        wanted = {"flow_runs": {"id": {"any_": [self._outcome.flow_run_id]}}}
        previous = -1
        while self._outcome.flow_run_id and time.monotonic() < deadline:
            try:
                runs = reports().ask(lambda: api().call("POST", "/task_runs/filter", wanted))
            except Exception:
                return False  # what was computed matters more than the last records
            settled = all((run["state"] or {}).get("type") in FINAL for run in runs)
            if settled and len(runs) == previous:
                return True
            previous = len(runs) if settled else -1
            time.sleep(0.3)
        return True
