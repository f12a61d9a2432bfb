"""A driver for the tests, here or as a process that can be killed: `python -m … ADDRESS FOLDER URL N`."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.host.cluster.driver import EngineCluster
from pixtrack.tasks.inference.host.cluster.ray_fleet import Placement, RayFleet
from pixtrack.tasks.inference.host.cluster.replica import ReplicaPlan
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job
from tests.doubles.asking import FINGERPRINT


def endpoint_spec(url: str, at_once: int = 2) -> EngineSpec:
    """An endpoint for an engine: the child is the real one."""
    options = {"base_url": url, "request_timeout_seconds": 20, "max_concurrency": at_once}
    return EngineSpec(
        engine="openai", format="endpoint", family="", takes="orders", options=options
    )


def ray_driver(spec: EngineSpec, address: str, folder: Path, replicas: int) -> EngineCluster:
    """A driver of so many replicas on the Ray at that address."""
    host = socket.gethostname()
    plans = [
        ReplicaPlan(number, spec, str(folder / "engine.log"), str(folder), host)
        for number in range(replicas)
    ]
    return EngineCluster(spec, RayFleet(Placement(address, own_cpus=replicas), plans), replicas)


def job_in(folder: Path) -> Job:
    """The job whose requests.jsonl lies there."""
    return Job(
        job_id="job",
        requests_path=str(folder / "requests.jsonl"),
        journal_path=str(folder / "answers.jsonl"),
        fingerprint=FINGERPRINT,
        sampling=Sampling(max_tokens=12),
    )


def last_event(driver: EngineCluster, job: Job) -> Event:
    """How the job, or the driver, ended."""
    driver.submit(job)
    for event in driver.events():
        if event.event in ("job_done", "job_failed", "engine_failed", "closed"):
            return event
    raise AssertionError("the driver ended without a word")


def main() -> None:
    """Asks the folder's questions."""
    address, folder, url, replicas = sys.argv[1:]
    spec = endpoint_spec(url)
    with ray_driver(spec, address, Path(folder), int(replicas)) as driver:
        print(last_event(driver, job_in(Path(folder))).event)


if __name__ == "__main__":
    main()
