"""Flow runs are noted in the data home while they run, whoever runs them: a command or a worker.

A worker that dies leaves its flow run RUNNING, and the pool's one place taken with it. The note
says whose it was; see `tasks.prefecting.reaping`.
"""

from __future__ import annotations

from typing import Any

from pixtrack.configs.paths import home
from pixtrack.tasks.prefecting import reaping


def _begun(_flow: Any, run: Any, _state: Any) -> None:
    reaping.begun(home(), str(run.id))


def _ended(_flow: Any, run: Any, _state: Any) -> None:
    reaping.ended(home(), str(run.id), "", reported=True)


NOTED: dict[str, Any] = {
    "on_running": [_begun],
    "on_completion": [_ended],
    "on_failure": [_ended],
    "on_crashed": [_ended],
    "on_cancellation": [_ended],
}
"""Prefect's hooks of a flow: each is called once the server has been told."""
