"""Reports a flow run to Prefect's server in the background: states, events, logs and artifacts.

Otherwise Prefect's flow engine would wait for the server between the steps and at the end, with
retries that add up to minutes.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from pixtrack.configs.addresses import shown
from pixtrack.tasks.prefecting.api import PrefectApi, ReportedTransport, is_away
from pixtrack.tasks.servers.reporting import DEADLINE_SECONDS, Reports

logger = logging.getLogger("pixtrack")

_reporting: ContextVar[bool] = ContextVar("reporting", default=False)

_CLOUD = "https://api.prefect.cloud"


@cache
def api() -> PrefectApi:
    """The client of the server that this process reports to."""
    return PrefectApi()


@cache
def reports() -> Reports:
    """The queue of this process's reports."""
    return Reports(f"Prefect's server {shown(api().address)}", is_away)


def server_is_away() -> bool:
    """Whether the server that this process reports to is away."""
    return reports.cache_info().currsize > 0 and bool(reports().away)


@contextmanager
def reporting() -> Iterator[Reports]:
    """Sends the requests, events and logs of Prefect's engine through `reports()` during the block.

    Raises ServerAway, or the server's own error, where it is away already.
    """
    from prefect.context import SyncClientContext
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    # Prefect itself would go on trying for minutes after the reports have given up.
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        transport = ReportedTransport(api(), reports())
        context = SyncClientContext(httpx_settings={"transport": transport})
        # Within the block, code that asks for a client without settings of its own gets this one.
        context._httpx_settings = None
        token = _reporting.set(True)
        try:
            with context, _forwarded():
                yield reports()
        finally:
            _reporting.reset(token)


def is_reporting() -> bool:
    """Whether the flow that runs here does so within `reporting`."""
    return _reporting.get()


@contextmanager
def _forwarded() -> Iterator[None]:
    """Receives events and logs, by the mechanism for processes of a pool that send to their
    parent.
    """
    from prefect.events.worker import EventsWorker, ProcessPoolForwardingEventsClient
    from prefect.logging.handlers import set_api_log_sink

    if api().address.startswith(_CLOUD):
        yield  # this version of Prefect has another mechanism
        return
    outbox = _Outbox(reports(), api().call)
    EventsWorker.set_client_override(ProcessPoolForwardingEventsClient, event_queue=outbox)
    set_api_log_sink(outbox.log)
    try:
        yield
    finally:
        set_api_log_sink(_dropped)
        if not reports().away:
            EventsWorker.drain_all(timeout=DEADLINE_SECONDS)
        EventsWorker.set_client_override(None)


def leave_logs_to_prefect() -> None:
    """Lets Prefect's engine send its last lines, the error of a failed flow, after `reporting`.

    Where the server is away they are dropped: Prefect would try for minutes.
    """
    from prefect.logging.handlers import set_api_log_sink

    if not reports().away:
        set_api_log_sink(None)


def _dropped(_log: dict[str, Any]) -> None:
    """Drops a log line from after the flow run, which belongs to no run."""


class _Outbox:
    """Collects events and logs and sends them in batches."""

    def __init__(self, reports: Reports, call: Callable[[str, str, Any], Any]) -> None:
        self._reports, self._call = reports, call
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []
        self._logs: list[dict[str, Any]] = []

    def put(self, item: tuple[str, Any]) -> None:
        """Adds an event; the interface is that of the queue in a pool's parent process."""
        event = item[1].model_dump(mode="json")
        with self._lock:
            self._events.append(event)
        self._reports.submit(lambda: self._send("/events", self._events), key="events")

    def log(self, line: dict[str, Any]) -> None:
        """Adds a log line."""
        line.pop("__payload_size__", None)
        with self._lock:
            self._logs.append(line)
        self._reports.submit(lambda: self._send("/logs/", self._logs), key="logs")

    def _send(self, path: str, waiting: list[dict[str, Any]]) -> None:
        with self._lock:
            batch = waiting[:]
            waiting.clear()
        if batch:
            self._call("POST", path, batch)


def rename_flow_run(flow_run_id: str | None, name: str) -> None:
    """Gives the flow run another name in Prefect's lists; does nothing outside of one."""
    if flow_run_id is not None:
        reports().submit(lambda: api().call("PATCH", f"/flow_runs/{flow_run_id}", {"name": name}))


def artifact_key(name: str) -> str:
    """Converts a name to a valid key of a Prefect artifact: lower-case letters, digits and
    dashes.
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def table(rows: Sequence[Mapping[str, Any]], key: str, description: str) -> None:
    """Reports a table as an artifact of the flow run; does nothing outside of one."""
    from prefect.artifacts import TableArtifact

    _submit(TableArtifact(key=key, description=description, table=[dict(row) for row in rows]))


def markdown(text: str, key: str, description: str) -> None:
    """Reports a text in Markdown as an artifact of the flow run."""
    from prefect.artifacts import MarkdownArtifact

    _submit(MarkdownArtifact(key=key, description=description, markdown=text))


class Progress:
    """A progress bar as an artifact of the flow run; only its latest state is sent."""

    def __init__(self, key: str, description: str) -> None:
        from prefect.artifacts import ProgressArtifact

        self._id = ""
        artifact = ProgressArtifact(key=key, description=description, progress=0.0)
        _submit(artifact, self._made)

    def show(self, fraction: float) -> None:
        """Sets how much is done, from 0 to 1."""
        if _run_ids()[1] is not None:
            reports().submit(lambda: self._update(fraction), key=self)

    def _made(self, answer: Any) -> None:
        self._id = answer["id"]

    def _update(self, fraction: float) -> None:
        if self._id:
            api().call("PATCH", f"/artifacts/{self._id}", {"data": 100 * min(max(fraction, 0), 1)})


class LiveTable:
    """A table as an artifact of the flow run that is replaced now and then."""

    def __init__(self, key: str, description: str) -> None:
        self._key, self._description = key, description
        self._id = ""
        self._made = False

    def show(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replaces the rows; without any, nothing is shown."""
        from prefect.artifacts import TableArtifact

        table = TableArtifact(
            key=self._key, description=self._description, table=[dict(row) for row in rows]
        )
        if rows and not self._made:
            self._made = True
            _submit(table, self._note)
        elif rows and _run_ids()[1] is not None:
            data = table.format(_sync=True)
            reports().submit(lambda: self._replace(data), key=self)

    def _note(self, answer: Any) -> None:
        self._id = answer["id"]

    def _replace(self, data: Any) -> None:
        if self._id:
            api().call("PATCH", f"/artifacts/{self._id}", {"data": data})


def _submit(artifact: Any, then: Callable[[Any], None] = lambda _answer: None) -> None:
    task_run, flow_run = _run_ids()
    if flow_run is None:
        return
    body = {
        "type": artifact.type,
        "key": artifact.key,
        "description": artifact.description,
        "task_run_id": task_run and str(task_run),
        "flow_run_id": str(flow_run),
        "data": artifact.format(_sync=True),
    }
    reports().submit(lambda: then(api().call("POST", "/artifacts/", body)))


def _run_ids() -> tuple[Any, Any]:
    """The ids of the task run and the flow run that this thread is in; None where there is none."""
    from prefect.utilities.context import get_task_and_flow_run_ids

    task_run, flow_run = get_task_and_flow_run_ids()
    return task_run, flow_run
