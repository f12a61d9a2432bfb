"""The deployments run on a real server and worker; a cancelled run leaves no engine behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psutil
import pytest
import yaml

from pixtrack.configs.loading import names
from pixtrack.configs.schema import DatasetConfig, DatasetGroup
from tests.doubles.patience import wait_until
from tests.flows.conftest import ROOT, Stack

pytestmark = [pytest.mark.server, pytest.mark.engine, pytest.mark.timeout(600)]


def engine_processes(home: Path) -> list[psutil.Process]:
    """Live processes of engines that were started for this data home."""
    found = []
    for process in psutil.process_iter(["pid", "environ", "cmdline", "name", "status"]):
        environment = process.info["environ"] or {}
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if environment.get("PIXTRACK_HOME") != str(home / "data"):
            continue
        command = " ".join(process.info["cmdline"] or [])
        if (
            "pixtrack.tasks.inference" in command
            or "VLLM" in command
            or "multiprocessing" in command
        ):
            found.append(process)
    return found


def test_a_deployment_exists_for_every_dataset_and_group() -> None:
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    wanted = {*names(DatasetConfig), *names(DatasetGroup)}
    assert wanted <= {deployment["name"] for deployment in declared}


def test_a_deployment_run_ends_completed_with_its_run_on_disk(stack: Stack) -> None:
    done = stack.prefect(
        "deployment", "run", "evaluate/sample",
        "-p", "limit=20", "-p", "model=pixtral-random", "--watch",
        "--watch-interval", "1", "--watch-timeout", "300",
        timeout=320,
    )  # fmt: skip
    assert done.returncode == 0, (stack.home / "worker.log").read_text()[-3000:]
    (summary_file,) = (stack.home / "data" / "runs" / "sample").glob("*/summary.json")
    summary = json.loads(summary_file.read_text())
    assert summary["n"] == 20
    assert summary["answered"] == 20
    assert summary["mlflow_run_id"]
    assert engine_processes(stack.home) == []


def test_wrong_parameters_are_refused_at_submission(stack: Stack) -> None:
    done = stack.prefect("deployment", "run", "evaluate/sample", "-p", "limit=0")
    assert done.returncode != 0
    assert "limit" in done.stdout + done.stderr


def test_cancelling_a_run_ends_the_engine_and_marks_the_run(stack: Stack) -> None:
    submitted = stack.prefect(
        "deployment", "run", "evaluate/any", "-p", "dataset=sample", "-p", "model=pixtral-random",
        "-p", "prompt=setup_guide",
    )  # fmt: skip
    match = re.search(r"UUID: ([0-9a-f-]{36})", submitted.stdout)
    assert match, submitted.stdout
    try:
        wait_until(lambda: engine_processes(stack.home), "an engine runs", 240, every=0.5)
    except AssertionError:
        pytest.fail((stack.home / "worker.log").read_text()[-3000:])
    assert stack.prefect("flow-run", "cancel", match.group(1)).returncode == 0
    wait_until(lambda: not engine_processes(stack.home), "the engine has ended", 180, every=0.5)
    records = [
        json.loads(path.read_text())
        for path in (stack.home / "data" / "runs" / "sample").glob("*setup_guide*/run.json")
    ]
    assert [record["status"] for record in records] == ["cancelled"]
