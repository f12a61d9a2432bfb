"""A real Prefect server with the project's deployments, and a real worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@dataclass
class Stack:
    """Where the server and the worker of a test session are."""

    home: Path
    environment: dict[str, str]

    def prefect(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Runs a prefect command against the server."""
        return subprocess.run(
            [str(BIN / "prefect"), *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)  # Prefect's worker now and then does not end by itself
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`make deploy` and `make worker`, on a free port, with a data home of their own."""
    home = tmp_path_factory.mktemp("stack")
    port = free_port()
    environment = {
        **os.environ,
        "PIXTRACK_HOME": str(home / "data"),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_PORT": str(port),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "BIN": str(BIN),
        "PORT": str(port),
        "PREFECT_WORKER_QUERY_SECONDS": "2",  # as `make worker` sets it
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    subprocess.run(
        [str(ROOT / ".ci" / "deploy")], cwd=ROOT, env=environment, check=True, timeout=240,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    server_pid = int((home / "prefect" / "server.pid").read_text())
    with (home / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [str(BIN / "prefect"), "worker", "start", "--pool", "pixtrack", "--type", "process"],
            cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield Stack(home, environment)
    finally:
        end_group(worker)
        os.killpg(server_pid, signal.SIGTERM)
        time.sleep(0.5)
