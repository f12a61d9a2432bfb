"""Real Prefect servers for the tests: how one is started, and a database that it need not make."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixtrack.tasks.servers.launcher import Server, free_port, running


def environment(prefect_home: Path) -> dict[str, str]:
    """The variables of a Prefect that nobody has set up, with its files in that folder."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    return {**others, **quiet, "PREFECT_HOME": str(prefect_home)}


def make_database(folder: Path) -> Path:
    """A database with all of Prefect's tables, and nothing in them, in a new folder: takes seconds."""
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
        env=environment(folder), check=True, capture_output=True, timeout=240,
    )  # fmt: skip
    return folder / "prefect.db"


def copy_database(made: Path, prefect_home: Path) -> None:
    """Puts a copy of it where a Prefect with that home has its database."""
    prefect_home.mkdir(parents=True, exist_ok=True)
    with (
        contextlib.closing(sqlite3.connect(made)) as source,
        contextlib.closing(sqlite3.connect(prefect_home / "prefect.db")) as target,
    ):
        source.backup(target)


@contextmanager
def plain_server(prefect_home: Path) -> Iterator[str]:
    """`prefect server start`, as a user's own: the address of its API, which wants no login."""
    port = free_port()
    where = ("--host", "127.0.0.1", "--port", str(port))
    command = (sys.executable, "-m", "prefect", "server", "start", "--no-ui", *where)
    api = f"http://127.0.0.1:{port}/api"
    log = prefect_home / "server.log"
    with running(Server("Prefect", command, environment(prefect_home), f"{api}/health", log)):
        yield api
