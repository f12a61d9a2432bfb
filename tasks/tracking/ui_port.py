"""Where the web interface of the local store is served right now, so that links open it.

`pixtrack ui` takes another port where 5000 is taken; other commands, which print links, would not
know. The note is good as long as the process that wrote it lives.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pixtrack.configs.paths import home
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.owners import owner, owner_is_dead

DEFAULT_PORT = 5000
PORT_VARIABLE = "PIXTRACK_UI_PORT"


@dataclass(frozen=True)
class _Served:
    port: int
    owner: str


def ui_port() -> str:
    """The port in PIXTRACK_UI_PORT, else that of the interface that runs, else 5000."""
    chosen = os.environ.get(PORT_VARIABLE)
    if chosen:
        return chosen
    try:
        served = TypeAdapter(_Served).validate_json(_file().read_bytes())
    except (OSError, ValidationError):
        return str(DEFAULT_PORT)
    return str(DEFAULT_PORT if owner_is_dead(served.owner) else served.port)


@contextmanager
def noted(port: int) -> Iterator[None]:
    """Notes, for the length of the block, that this process serves the interface at that port."""
    served = _Served(port, owner())
    write_atomically(_file(), TypeAdapter(_Served).dump_json(served).decode())
    try:
        yield
    finally:
        _file().unlink(missing_ok=True)


def _file() -> Path:
    return home().root / "mlflow-ui.json"
