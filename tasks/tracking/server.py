"""MLflow's web interface for the local store: one small process on the loopback address."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pixtrack.configs.paths import home
from pixtrack.tasks.secrets import database_secrets, without_secrets
from pixtrack.tasks.servers.launcher import HOST, Launched, Server, running
from pixtrack.tasks.servers.origin_guard import allowed_hosts
from pixtrack.tasks.sqlite_address import without_stray_folder
from pixtrack.tasks.tracking.connection import client
from pixtrack.tasks.tracking.ui_port import noted

_LOOPBACK = (HOST, f"{HOST}:*", "localhost", "localhost:*", "[::1]", "[[]::1]:*")
"""With any port: one that is forwarded from another machine may have another number there."""


@contextmanager
def serve(uri: str, port: int, log: Path) -> Iterator[Launched]:
    """An MLflow server of the database `uri`, answering at `port`, until the block ends.

    MLflow's defaults start twelve processes (four workers and the job runners of its GenAI side);
    one worker without jobs needs two, and 0.5 GB instead of 1.3. Its output goes to `log`. Raises
    UserError, with the reason, where it does not start.
    """
    client(uri)  # the tables, which the server would make more slowly
    with ExitStack() as held:
        with without_stray_folder(uri):
            launched = held.enter_context(running(mlflow_server(uri, port, log)))
        held.enter_context(noted(port))
        yield launched


def mlflow_server(uri: str, port: int, log: Path) -> Server:
    """How MLflow's server of the database `uri` is started.

    It refuses requests under other host names and changes from other origins; MLflow's own default
    also lets in every name that begins like a private address (`10.attacker.example`).
    """
    further = [host for name in sorted(allowed_hosts()) for host in (name, f"{name}:*")]
    # What a client of MLflow's sends to another server is nothing to this one.
    given = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_TRACKING_")}
    environment = {
        **without_secrets(given, ("MLFLOW_*", *database_secrets(uri))),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Variables, not options: a database's address may hold a password, and anybody on this
        # machine may list its processes with their options.
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ALLOWED_HOSTS": os.environ.get(
            "MLFLOW_SERVER_ALLOWED_HOSTS", ",".join([*_LOOPBACK, *further])
        ),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": os.environ.get(
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", f"http://{HOST}:{port},http://localhost:{port}"
        ),
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--workers", "1", "--artifacts-destination", str(home().mlflow_artifacts)]
    return Server(
        what="MLflow",
        command=tuple(command),
        environment=environment,
        health=f"http://{HOST}:{port}/health",
        log=log,
    )
