"""The Prefect server that pixtrack starts: guarded, with a login, its database in the data home."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pixtrack.configs.addresses import openable
from pixtrack.configs.paths import Home
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.owners import owner, owner_is_dead
from pixtrack.tasks.secrets import database_secrets, without_secrets
from pixtrack.tasks.servers.launcher import HOST, Server
from pixtrack.tasks.servers.login import CLIENT_VARIABLE, SERVER_VARIABLE, login
from pixtrack.tasks.sqlite_address import sqlite_address

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_COLORS": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Variables that turn telemetry off unless the user sets them; each tool has its own."""

_DATABASE_VARIABLES = (
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
)
_OF_A_CLIENT = ("PREFECT_API_URL", "PREFECT_API_KEY", CLIENT_VARIABLE, "PREFECT_PROFILE")
"""Variables by which a client finds its server; a server does not get them."""


def prefect_home(home: Home) -> Path:
    """Prefect's own folder with its database: PREFECT_HOME, else one in the data home."""
    chosen = os.environ.get("PREFECT_HOME")
    return Path(chosen).expanduser() if chosen else home.prefect


def api_address(port: int) -> str:
    """The API's address of a server that pixtrack started at that port."""
    return f"http://{HOST}:{port}/api"


def prefect_server(home: Home, port: int, log: Path, *, pages: bool) -> Server:
    """How this data home's Prefect server is started.

    Args:
        home: the data home
        port: the port
        log: the file for its output
        pages: whether it serves the web interface

    Raises:
        UserError: its login cannot be read
    """
    given = {name: value for name, value in os.environ.items() if name not in _OF_A_CLIENT}
    databases = [given.get(name, "") for name in _DATABASE_VARIABLES]
    inherited = without_secrets(given, ("PREFECT_*", *database_secrets(*databases)))
    environment = {
        **QUIET,
        **inherited,
        "PREFECT_HOME": str(prefect_home(home)),
        **_database(prefect_home(home)),
        SERVER_VARIABLE: login(home),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port},http://localhost:{port}",
        "PREFECT_UI_ENABLED": "true" if pages else "false",
        # A relative address: the pages use the address that they were loaded from, which may be a
        # forwarded port.
        "PREFECT_UI_API_URL": "/api",
    }
    return Server(
        what="Prefect",
        command=(sys.executable, "-m", "pixtrack.tasks.servers.prefect_app", str(port)),
        environment=environment,
        health=f"{api_address(port)}/health",
        log=log,
    )


@dataclass(frozen=True)
class Deployed:
    """The note in the data home of the server that `pixtrack deploy` left running."""

    api: str
    pid: int
    owner: str
    """Its process, as `tasks.owners` names it: a later process may have the same id."""


def deployed_file(home: Home) -> Path:
    """The file with the note of the running server."""
    return home.prefect / "server.json"


def note_deployed(home: Home, api: str, pid: int) -> None:
    """Notes a server that goes on running when this command ends."""
    record = Deployed(api, pid, owner(pid))
    write_atomically(deployed_file(home), TypeAdapter(Deployed).dump_json(record).decode())


def read_deployed(home: Home) -> Deployed | None:
    """The server that `pixtrack deploy` started in this data home, if it still runs."""
    try:
        record = TypeAdapter(Deployed).validate_json(deployed_file(home).read_bytes())
    except (OSError, ValidationError):
        return None
    return None if owner_is_dead(record.owner) else record


def login_for(home: Home, api: str) -> str:
    """The login for an address: that of the running server of this data home, else "".

    It is sent to no other address, because whoever listens there could then use our server.
    """
    deployed = read_deployed(home)
    return login(home) if deployed and openable(deployed.api) == openable(api) else ""


def _database(folder: Path) -> dict[str, str]:
    """The setting for the database's address, quoted; Prefect's default is cut at a `?` in the
    path.
    """
    if any(os.environ.get(name) for name in _DATABASE_VARIABLES):
        return {}
    address = sqlite_address(folder / "prefect.db").replace("sqlite:", "sqlite+aiosqlite:", 1)
    return {_DATABASE_VARIABLES[0]: address}
