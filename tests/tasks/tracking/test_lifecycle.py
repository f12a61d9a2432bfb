from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking import begin, end, interrupted, reap, system, tracking_uri
from pixtrack.tasks.tracking.links import TrackedRun, read_tracked, tracked_file, write_tracked
from tests.doubles.finished_runs import finished_run
from tests.doubles.patience import wait_until
from tests.doubles.synthetic_runs import DatasetFactory

BEGIN_AND_WAIT = """
import sys, time
from pathlib import Path
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking import begin
print(begin(RunDirectory(Path(sys.argv[1]))), flush=True)
time.sleep(120)
"""


def begun_elsewhere(run: RunDirectory) -> tuple[subprocess.Popen[str], str]:
    """Another process that has begun the run and lives; and the MLflow run's id."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN_AND_WAIT, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, process.stdout.readline().strip()


def test_run_of_a_killed_process_does_not_stay_running(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    victim, other = finished_run(dataset, "alpha"), finished_run(dataset, "beta")
    process, run_id = begun_elsewhere(victim)
    try:
        begin(other)
        assert mlflow.get_run(run_id).info.status == "RUNNING"  # its process lives
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert interrupted(victim) and not interrupted(other)
        begin(other)
        assert mlflow.get_run(run_id).info.status == "KILLED"
        assert begin(victim) == run_id  # resuming continues the same MLflow run
        assert mlflow.get_run(run_id).info.status == "RUNNING"
    finally:
        process.kill()
        end(victim, "failed")
        end(other, "FAILED")
    assert mlflow.get_run(run_id).info.status == "FAILED"


def test_reaping_leaves_this_processs_runs_alone(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    run = finished_run(dataset)
    run_id = begin(run)
    assert reap(tracking_uri()) == 0
    assert mlflow.get_run(run_id).info.status == "RUNNING"
    end(run, "cancelled")


def test_the_machine_is_sampled_while_the_run_is_running(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    from pixtrack.tasks.tracking import log_run
    from pixtrack.tasks.tracking.system import samples_file

    run = finished_run(dataset)
    run_id = begin(run)
    wait_until(
        lambda: samples_file(run).exists() and samples_file(run).read_text().count("\n") >= 3,
        "three samples",
    )
    log_run(run, home.images)
    lines = samples_file(run).read_text().count("\n")
    # The page that compares runs opens on the first: a database keeps the order of their coming.
    assert next(iter(mlflow.get_run(run_id).data.metrics)) == "headline"
    history = mlflow.get_metric_history(run_id, "system/system_memory_usage_percentage")
    assert lines >= 3 and len(history) == lines
    assert all(0 < one.value <= 100 for one in history)
    time.sleep(0.2)
    assert samples_file(run).read_text().count("\n") == lines  # stopped with the run


def test_samples_that_a_torn_line_follows_are_sent_once(
    home: Home, mlflow: Any, dataset: DatasetFactory
) -> None:
    from pixtrack.tasks.tracking.system import samples_file, send

    run = finished_run(dataset)
    run_id = begin(run)
    end(run, "completed")
    samples_file(run).write_text(
        '{"at": 1000, "metrics": {"system/x": 1.0}}\n{"at": 6000, "metrics": {"system/x": 2.0}}\n{"at"'
    )
    assert send(run, run_id or "", tracking_uri()) == 2
    assert send(run, run_id or "", tracking_uri()) == 0
    history = mlflow.get_metric_history(run_id, "system/x")
    assert [(one.step, one.value) for one in history] == [(0, 1.0), (5, 2.0)]


def test_a_disk_that_takes_no_samples_ends_the_sampling_in_silence(
    home: Home, dataset: DatasetFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[object] = []
    monkeypatch.setattr(threading, "excepthook", broken.append)
    monkeypatch.setattr(system, "samples_file", lambda _run: tmp_path / "no such folder" / "file")
    run = finished_run(dataset)
    system.start(run)
    sampler = system._samplers[run.path]
    sampler.join(timeout=60)
    assert not sampler.is_alive() and not broken
    system.stop(run)


def test_a_password_in_the_stores_address_is_not_kept(dataset: DatasetFactory) -> None:
    run = finished_run(dataset, "alpha")
    uri = "http://me:secret@tracking.example:5000"
    write_tracked(run, TrackedRun(uri=uri, experiment_id="1", run_id="abc"))
    assert "secret" not in tracked_file(run).read_text()
    found = read_tracked(run, uri)
    assert found is not None and (found.uri, found.run_id) == (uri, "abc")
    assert read_tracked(run, "http://me:other@tracking.example:5000") is not None
    assert read_tracked(run, "http://elsewhere:5000") is None
