"""Ends flow runs whose command was killed, which would otherwise stay RUNNING for ever.

A command notes its flow run in the data home when it begins, and removes the note once the server
knows how it ended. A flow run whose note is left is ended by the next command on this machine that
uses the same server.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
from pydantic import TypeAdapter, ValidationError

from pixtrack.configs.paths import Home
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.owners import owner, owner_is_dead

logger = logging.getLogger("pixtrack")

Call = Callable[[str, str, Any], Any]
"""The type of `PrefectApi.call`: takes method, path and body, and returns the reply's data."""

Ended = Literal["", "COMPLETED", "FAILED", "CRASHED"]

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
"""The types of the states that a run ends in."""

_FORGET_AFTER_SECONDS = 30 * 24 * 3600.0
"""Age after which a note is deleted although no server knew its flow run: its server is gone."""

_MESSAGES = {
    "": "the command's process ended without a word: it was killed, or the machine went down",
    "COMPLETED": "reported by a later command: the server was away when this one ended",
    "FAILED": "reported by a later command: the server was away when this one ended",
    "CRASHED": "reported by a later command: the server was away when this one ended",
}


@dataclass(frozen=True)
class Note:
    """A note of a command's flow run."""

    owner: str
    """The command's process; see `tasks.owners`."""
    ended: Ended = ""
    """How it ended, where that could not be reported to the server."""


def begun(home: Home, flow_run_id: str) -> None:
    """Notes that this process runs that flow run, if the disk takes the note."""
    _write(_file(home, flow_run_id), Note(owner()))


def ended(home: Home, flow_run_id: str, how: Ended, *, reported: bool) -> None:
    """Notes how the flow run ended, or forgets it where that is `reported` to the server."""
    file = _file(home, flow_run_id)
    if reported:
        file.unlink(missing_ok=True)
    else:
        _write(file, Note(owner(), how))


def reap(home: Home, call: Call) -> int:
    """Ends, at the server, the flow runs whose process on this machine has died.

    Returns their number. Raises httpx.HTTPError where the server is away; a later command then ends
    the rest.
    """
    return sum(_reap(file, call) for file in sorted(_folder(home).glob("*.json")))


def _reap(file: Path, call: Call) -> bool:
    try:
        note = TypeAdapter(Note).validate_json(file.read_bytes())
    except (OSError, ValidationError):
        file.unlink(missing_ok=True)
        return False
    if not owner_is_dead(note.owner):
        return False
    try:
        state = call("GET", f"/flow_runs/{file.stem}", None)["state"] or {}
    except httpx.HTTPStatusError as error:
        # The flow run is another server's, or was deleted there.
        if error.response.status_code == 404:
            _forget_when_old(file)
            return False
        raise
    if state.get("type") not in FINAL:
        how, message = note.ended or "CRASHED", _MESSAGES[note.ended]
        for task_run in _task_runs(file.stem, call):
            _end(f"/task_runs/{task_run}", how, message, call)
        _end(f"/flow_runs/{file.stem}", how, message, call)
        logger.info(
            "the flow run %s of a command that is gone was still running: %s", file.stem, how
        )
    file.unlink(missing_ok=True)
    return True


def _task_runs(flow_run_id: str, call: Call) -> list[str]:
    wanted = {"flow_runs": {"id": {"any_": [flow_run_id]}}}
    found = call("POST", "/task_runs/filter", wanted)
    return [one["id"] for one in found if (one["state"] or {}).get("type") not in FINAL]


def _end(path: str, how: str, message: str, call: Call) -> None:
    state = {"type": how, "name": how.capitalize(), "message": message}
    call("POST", f"{path}/set_state", {"state": state, "force": True})


def _forget_when_old(file: Path) -> None:
    with contextlib.suppress(OSError):
        if time.time() - file.stat().st_mtime > _FORGET_AFTER_SECONDS:
            file.unlink()


def _folder(home: Home) -> Path:
    return home.prefect / "flow-runs"


def _file(home: Home, flow_run_id: str) -> Path:
    return _folder(home) / f"{flow_run_id}.json"


def _write(file: Path, note: Note) -> None:
    with contextlib.suppress(OSError):  # a full disk is the run's trouble: it says so itself
        write_atomically(file, TypeAdapter(Note).dump_json(note).decode())
