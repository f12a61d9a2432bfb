"""Samples CPU, memory and GPU use while the engine works.

MLflow's own monitor would lose its samples (and stall) when a server goes away, so the samples
go to system_metrics.jsonl in the run directory; what MLflow has not got yet is sent when the run is
logged, after its scores: MLflow's page that compares runs opens on the metric that came first.
Metric names and readings are MLflow's own (its CPU, GPU and ROCm monitors).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.tracking.connection import client
from pixtrack.tasks.tracking.settings import settings

logger = logging.getLogger(__name__)

UNTIL_TAG = "mlflow.pixtrack.system_metrics_until"
"""Unix milliseconds of the last sample that MLflow has."""

_BATCH = 900
"""Below the 1,000 metrics that MLflow documents for one request."""
_LONG_RUN_SHARE = 300.0
"""The interval grows to 1/300 of the run so far: about 300 samples per factor e of its length."""


def samples_file(run: RunDirectory) -> Path:
    """The samples of a run: one JSON object a line, {"at": Unix ms, "metrics": {name: value}}."""
    return run.path / "system_metrics.jsonl"


class _Sampler(threading.Thread):
    def __init__(self, run: RunDirectory) -> None:
        super().__init__(name="system-metrics", daemon=True)
        self._run = run
        self._every = settings().system_metrics.every_seconds
        self._halt = threading.Event()

    def run(self) -> None:
        monitors = _monitors()
        _sample(monitors)  # the first reading of a CPU's use has nothing to compare with: 0
        started = time.monotonic()
        while not self._halt.wait(max(self._every, (time.monotonic() - started) / _LONG_RUN_SHARE)):
            values = _sample(monitors)
            line = json.dumps({"at": int(time.time() * 1000), "metrics": values})
            try:
                with samples_file(self._run).open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            except OSError as error:  # a full disk: the run itself says so
                logger.debug("no more samples of the machine: %s", error)
                return

    def stop(self) -> None:
        self._halt.set()
        self.join(timeout=2)


_samplers: dict[Path, _Sampler] = {}


def start(run: RunDirectory) -> None:
    """Starts sampling for that run, to its file."""
    stop(run)
    sampler = _samplers[run.path] = _Sampler(run)
    sampler.start()


def stop(run: RunDirectory) -> None:
    """Stops sampling for that run, if it was started in this process."""
    sampler = _samplers.pop(run.path, None)
    if sampler:
        sampler.stop()


def _monitors() -> list[Any]:
    """MLflow's monitors that work on this machine; a missing GPU library is no error."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.rocm_monitor import ROCMMonitor

    found: list[Any] = [CPUMonitor()]
    for kind in (GPUMonitor, ROCMMonitor):
        try:
            found.append(kind())
            break
        except Exception as error:
            logger.debug("no %s: %s", kind.__name__, error)
    return found


def _sample(monitors: list[Any]) -> dict[str, float]:
    values: dict[str, float] = {}
    for monitor in monitors:
        try:
            monitor.collect_metrics()
            values |= {f"system/{key}": value for key, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        except Exception:
            logger.debug("a reading failed", exc_info=True)
    return values


def send(run: RunDirectory, run_id: str, uri: str) -> int:
    """Sends the samples that MLflow has not got yet, oldest first; returns how many."""
    file = samples_file(run)
    if not file.exists():
        return 0
    from mlflow.entities import Metric, RunTag

    mlflow = client(uri)
    until = int(mlflow.get_run(run_id).data.tags.get(UNTIL_TAG, 0))
    samples, first = [], 0
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            sample = json.loads(line)
        except ValueError:
            continue  # a line torn by a kill
        first = first or sample["at"]
        if sample["at"] > until:
            samples.append(sample)
    batch: list[Any] = []
    for number, sample in enumerate(samples):
        batch += [
            Metric(key, value, sample["at"], (sample["at"] - first) // 1000)
            for key, value in sample["metrics"].items()
        ]
        last = number == len(samples) - 1
        if last or len(batch) + len(sample["metrics"]) > _BATCH:
            # The tag goes with its metrics, so that a batch is sent once even if the next fails.
            mlflow.log_batch(run_id, metrics=batch, tags=[RunTag(UNTIL_TAG, str(sample["at"]))])
            batch = []
    return len(samples)
