"""A real Prefect server with the project's deployments, and a real worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pixtrack.tasks.servers.launcher import free_port
from tests.doubles.prefect_servers import copy_database
from tests.doubles.processes import end_group

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Stack:
    """Where the server and the worker of a test session are."""

    home: Path
    environment: dict[str, str]

    def prefect(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Runs a prefect command against the server."""
        return self.pixtrack("prefect", *arguments, timeout=timeout)

    def pixtrack(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Runs a command of ours."""
        return subprocess.run(
            [sys.executable, "-m", "pixtrack", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )


@pytest.fixture(scope="session")
def stack(prefect_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`pixtrack deploy` and `pixtrack worker`, on a free port, with a data home of their own."""
    home = tmp_path_factory.mktemp("stack")
    copy_database(prefect_database, home / "prefect")
    environment = {
        **os.environ,
        "PIXTRACK_HOME": str(home / "data"),
        "PREFECT_PORT": str(free_port()),
        "PREFECT_HOME": str(home / "prefect"),
    }
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
        environment.pop(name, None)
    running = Stack(home, environment)
    done = running.pixtrack("deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    with (home / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "pixtrack", "worker"],
            cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield running
    finally:
        end_group(worker)
        running.pixtrack("deploy", "--stop")
