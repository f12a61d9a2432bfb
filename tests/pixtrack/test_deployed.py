"""Deployments and a worker of the installed package: no checkout is near, nor needed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from pixtrack.tasks.servers.launcher import free_port
from tests.doubles.processes import end_group
from tests.pixtrack.installed import VERSION, Installed

pytestmark = [pytest.mark.server, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]


def test_an_installed_package_deploys_its_flows_and_works_on_them(installed: Installed) -> None:
    port = str(free_port())
    try:
        deployed = installed.run("deploy", PREFECT_PORT=port)
        assert deployed.returncode == 0, deployed.stderr
        log = installed.work / "worker.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "pixtrack", "worker"],
                env={**installed.environment(), "PREFECT_PORT": port}, cwd=installed.work,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            done = installed.run(
                "prefect", "deployment", "run", "evaluate/sample", "-p", "limit=4",
                "-p", "model=pixtral-random", "--watch", "--watch-interval", "1",
                timeout=400,
            )  # fmt: skip
            assert done.returncode == 0, log.read_text()[-3000:]
        finally:
            worker.send_signal(signal.SIGTERM)
            end_group(worker)
    finally:
        installed.run("deploy", "--stop")
    (record,) = (installed.work / "data" / "runs" / "sample").glob("*/run.json")
    assert json.loads(record.read_text())["host"]["pixtrack"] == VERSION
