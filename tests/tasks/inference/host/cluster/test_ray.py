"""Replicas on real Ray nodes: real actors, guards and children, with an endpoint for an engine."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.host.cluster import connection
from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.journal import read_answers
from tests.doubles.asking import draw_images, questions, write_job
from tests.doubles.endpoint import Endpoint, Reply, completion
from tests.doubles.processes import REPOSITORY, wait_until
from tests.tasks.inference.host.cluster.driving import (
    endpoint_spec,
    job_in,
    last_event,
    ray_driver,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(420)]

Ask = Callable[[int, int], list[Request]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head without room, and two nodes with room for one replica each."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        connection.ray_module()
        from ray.cluster_utils import Cluster

        made = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        try:
            for _ in range(2):
                made.add_node(num_cpus=1)
            yield made
        finally:
            made.shutdown()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Answers each question with itself, after a moment."""

    def answer(body: dict[str, Any]) -> Reply:
        return Reply(completion(said(body), prompt_tokens=100), delay_seconds=0.05)

    with Endpoint(answer=answer) as endpoint:
        yield endpoint


def said(body: dict[str, Any]) -> str:
    (message,) = body["messages"]
    return " ".join(part["text"] for part in message["content"] if part["type"] == "text")


def children() -> list[psutil.Process]:
    """Guards, inference children and what they started, of whoever."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "pixtrack.tasks.inference.worker.main" in line:
            found.append(process)
    return found


def actors() -> list[psutil.Process]:
    """The actors' processes."""
    return [p for p in psutil.process_iter(["cmdline"]) if "_NodeReplica" in str(p.info["cmdline"])]


def expected(asked: list[Request]) -> dict[int, str]:
    return {request.index: request.turns[-1] for request in asked}


def answers_in(folder: Path) -> dict[int, str]:
    return {index: answer.text for index, answer in read_answers(folder / "answers.jsonl").items()}


def lines_in(folder: Path) -> int:
    journal = folder / "answers.jsonl"
    return len(journal.read_bytes().splitlines()) - 1 if journal.exists() else 0


def test_an_actor_an_engine_and_a_node_that_die_in_mid_run(
    cluster: Any, endpoint: Endpoint, tmp_path: Path
) -> None:
    asked = questions(draw_images(tmp_path, 200), 3)
    job = write_job(tmp_path, asked)
    doomed = cluster.add_node(num_cpus=1)
    driver = ray_driver(endpoint_spec(endpoint.url), cluster.address, tmp_path, 3)
    done: list[Any] = []
    with driver:
        watching = threading.Thread(target=lambda: done.append(last_event(driver, job)))
        watching.start()
        wait_until(lambda: all(s.answered > 5 for s in driver.slots) or done, 120, "all answer")
        actors()[0].kill()
        wait_until(lambda: sum(s.failures for s in driver.slots) or done, 60, "its loss is noticed")
        before = lines_in(tmp_path)
        wait_until(lambda: lines_in(tmp_path) > before + 20 or done, 60, "it goes on")
        children()[-1].kill()  # an engine's child
        before = lines_in(tmp_path)
        wait_until(lambda: lines_in(tmp_path) > before + 40 or done, 60, "it goes on")
        cluster.remove_node(doomed, allow_graceful=False)
        watching.join(240)
    assert done and done[0].event == "job_done", (done, driver.slots)
    assert answers_in(tmp_path) == expected(asked)
    assert lines_in(tmp_path) == len(asked)  # each recorded once
    twice = done[0].details["asked_twice"]
    assert 0 < twice <= 3 * 2 * 2, twice
    wait_until(lambda: not children(), 20, "no child is left")
    wait_until(lambda: not actors(), 20, "no actor is left")


def test_the_drivers_death_ends_every_actor_and_child(
    cluster: Any, endpoint: Endpoint, tmp_path: Path
) -> None:
    import ray

    asked = questions(draw_images(tmp_path, 100), 3)
    write_job(tmp_path, asked)
    command = [sys.executable, "-m", "tests.tasks.inference.host.cluster.driving"]
    arguments = [cluster.address, str(tmp_path), endpoint.url, "2"]
    driver = subprocess.Popen([*command, *arguments], cwd=REPOSITORY)
    try:
        wait_until(lambda: lines_in(tmp_path) > 20 or driver.poll(), 120, "answers")
        assert len(children()) >= 2
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        wait_until(lambda: not children(), 40, "no child is left")
        wait_until(lambda: not actors(), 40, "no actor is left")
    finally:
        driver.kill()
        driver.wait()
    answered = lines_in(tmp_path)
    # The places are free again, and the next driver asks only what is missing.
    with ray_driver(endpoint_spec(endpoint.url), cluster.address, tmp_path, 2) as again:
        done = last_event(again, job_in(tmp_path))
    assert done.event == "job_done" and done.already_answered == answered > 20
    assert answers_in(tmp_path) == expected(asked)
    assert not ray.is_initialized()


def test_a_cluster_that_cannot_be_joined_is_one_line(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private import utils

    theirs = utils.compute_version_info()
    monkeypatch.setattr(utils, "compute_version_info", lambda: ("1.0.0", "3.11.0", *theirs[2:]))
    with pytest.raises(UserError, match=r"it runs Ray .* under Python .*, this is Ray 1\.0\.0"):
        connection.connect(cluster.address)
    monkeypatch.undo()
    connection.connect(cluster.address)
    connection.disconnect()


def test_answers_go_on_while_nobody_listens(
    cluster: Any, endpoint: Endpoint, tmp_path: Path
) -> None:
    """The session looks away between two runs: the replicas do not wait for it."""
    job = write_job(tmp_path, questions(draw_images(tmp_path, 20), 2))
    with ray_driver(endpoint_spec(endpoint.url), cluster.address, tmp_path, 2) as driver:
        driver.submit(job)
        wait_until(lambda: lines_in(tmp_path) == 40, 120, "all is answered")
        kinds = []
        for event in driver.events():
            kinds.append(event.event)
            if event.event == "job_done":
                break
    assert kinds.count("ready") >= 1
