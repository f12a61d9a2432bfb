"""MLflow's web interface for the local store: one small process on the loopback address."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import home
from pixtrack.tasks.processes import die_with_parent, stop
from pixtrack.tasks.tracking.connection import client

HOST = "127.0.0.1"
_START_SECONDS = 120.0


def free_port(wanted: int) -> int:
    """`wanted` if nothing listens there, else a port that the system picks."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UserError(f"no free port on {HOST}")


@contextmanager
def serve(uri: str, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An MLflow server of the database `uri`, answering at `port`, until the block ends.

    MLflow's defaults start twelve processes (four workers and the job runners of its GenAI side);
    one worker without jobs needs two, and 0.5 GB instead of 1.3. Its output goes to `log`.
    """
    client(uri)  # the tables, which the server would make more slowly
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--backend-store-uri", uri, "--workers", "1"]
    command += ["--artifacts-destination", str(home().mlflow_artifacts)]
    environment = {
        **{key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"},
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    health = f"http://{HOST}:{port}/health"
    with served("MLflow", command, environment, health, log) as process:
        yield process


@contextmanager
def served(
    what: str, command: list[str], environment: dict[str, str], health: str, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A server as a child in a process group of its own, healthy when the block begins.

    It ends with the block, and with this process however that dies. Raises UserError, with the
    log's path, for one that does not answer.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        _wait_until_healthy(what, process, health, log)
        yield process
    finally:
        stop(process)


def _wait_until_healthy(
    what: str, process: subprocess.Popen[bytes], health: str, log: Path
) -> None:
    import httpx

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise UserError(f"{what}'s server ended at once ({' '.join(last)}): see {log}")
        try:
            if httpx.get(health, timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise UserError(f"{what}'s server did not answer within {_START_SECONDS:g} s: see {log}")
