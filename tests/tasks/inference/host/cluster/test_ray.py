"""Replicas on real Ray nodes: real actors, guards and children, with an endpoint for an engine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.host.cluster import connection
from pixtrack.tasks.records import ImageRef, Request
from pixtrack.tasks.runs.journal import read_answers
from pixtrack.tasks.runs.protocol import EngineSpec
from tests.doubles.asking import RunningEngine, draw_images, questions, write_job
from tests.doubles.endpoint import Endpoint, Reply, completion
from tests.doubles.patience import wait_until
from tests.doubles.processes import REPOSITORY
from tests.tasks.inference.host.cluster.driving import (
    endpoint_spec,
    job_in,
    last_event,
    ray_driver,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(420)]

MARK = "PIXTRACK_TEST_CLUSTER"
"""An environment variable that every process of the tests' cluster inherits."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head without room, and two nodes with room for one replica each."""
    pytest.importorskip("ray", reason="Ray is in the extra `ray`: pip install -e .[dev]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv(MARK, str(os.getpid()))
        connection.ray_module()
        from ray.cluster_utils import Cluster

        made = Cluster()
        try:
            add_node(made, num_cpus=0, include_dashboard=False)
            for _ in range(2):
                add_node(made, num_cpus=1)
            yield made
        finally:
            made.shutdown()


def add_node(cluster: Any, **options: Any) -> Any:
    """A further node. Ray gives each 30 s to come up, which a busy machine may exceed: once more."""
    for _ in range(2):
        with contextlib.suppress(Exception):
            return cluster.add_node(**options)
    return cluster.add_node(**options)


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


def ours(part: str, mark: str = "") -> list[psutil.Process]:
    """The processes of this cluster whose command has that part, whoever their parent is now."""
    mark = mark or str(os.getpid())
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if part not in " ".join(process.info["cmdline"] or ()):
            continue
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def children() -> list[psutil.Process]:
    """Guards and inference children."""
    return ours("pixtrack.tasks.inference.worker.main")


def actors() -> list[psutil.Process]:
    """The actors' processes."""
    return ours("_NodeReplica")


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
    doomed = add_node(cluster, num_cpus=1)
    driver = ray_driver(endpoint_spec(endpoint.url), cluster.address, tmp_path, 3)
    done: list[Any] = []
    with driver:
        watching = threading.Thread(target=lambda: done.append(last_event(driver, job)))
        watching.start()
        wait_until(lambda: all(s.answered > 5 for s in driver.slots) or done, "all answer")
        actors()[0].kill()
        wait_until(lambda: sum(s.failures for s in driver.slots) or done, "its loss is noticed")
        before = lines_in(tmp_path)
        wait_until(lambda: lines_in(tmp_path) > before + 20 or done, "it goes on")
        children()[-1].kill()  # an engine's child
        before = lines_in(tmp_path)
        wait_until(lambda: lines_in(tmp_path) > before + 40 or done, "it goes on")
        cluster.remove_node(doomed, allow_graceful=False)
        watching.join(240)
    assert done and done[0].event == "job_done", (done, driver.slots)
    assert answers_in(tmp_path) == expected(asked)
    assert lines_in(tmp_path) == len(asked)  # each recorded once
    twice = done[0].details["asked_twice"]
    assert 0 < twice <= 3 * 2 * 2, twice
    wait_until(lambda: not children(), "no child is left")
    wait_until(lambda: not actors(), "no actor is left")


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
        wait_until(lambda: lines_in(tmp_path) > 20 or driver.poll(), "answers")
        assert len(children()) >= 2
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        wait_until(lambda: not children(), "no child is left")
        wait_until(lambda: not actors(), "no actor is left")
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


def test_a_ray_of_its_own_ends_with_the_drivers_death(endpoint: Endpoint, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is in the extra `ray`: pip install -e .[dev]")
    write_job(tmp_path, questions(draw_images(tmp_path, 100), 3))
    command = [sys.executable, "-m", "tests.tasks.inference.host.cluster.driving"]
    mark = f"own {os.getpid()}"
    environment = {**os.environ, MARK: mark, "RAY_AUTH_MODE": "disabled"}
    driver = subprocess.Popen(
        [*command, "", str(tmp_path), endpoint.url, "2"], cwd=REPOSITORY, env=environment
    )
    try:
        wait_until(lambda: lines_in(tmp_path) > 10 or driver.poll(), "answers", seconds=200)
        assert ours("raylet", mark) and ours("worker.main", mark)
    finally:
        driver.kill()
        driver.wait()
    parts = ("worker.main", "_NodeReplica", "raylet", "gcs_server")
    wait_until(lambda: not any(ours(part, mark) for part in parts), "nothing of it is left")


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
        wait_until(lambda: lines_in(tmp_path) == 40, "all is answered")
        kinds = []
        for event in driver.events():
            kinds.append(event.event)
            if event.event == "job_done":
                break
    assert kinds.count("ready") >= 1


@pytest.mark.engine
@pytest.mark.timeout(1500)
def test_real_engines_answer_word_for_word_as_one_does_also_where_one_dies(
    cluster: Any,
    running_engine: RunningEngine,
    tiny_spec: EngineSpec,
    drawn_images: list[ImageRef],
    tmp_path: Path,
) -> None:
    asked = questions(drawn_images, 12)
    one = running_engine.ask(asked)
    job = write_job(tmp_path, asked)
    spec = tiny_spec.model_copy(update={"takes": "orders"})
    done: list[Any] = []
    with ray_driver(spec, cluster.address, tmp_path, 2) as driver:
        watching = threading.Thread(target=lambda: done.append(last_event(driver, job)))
        watching.start()
        wait_until(lambda: lines_in(tmp_path) > 20 or done, "answers", seconds=600)
        actors()[-1].kill()
        watching.join(600)
    assert done and done[0].event == "job_done", done
    assert sum(slot.failures > 0 or slot.generation > 1 for slot in driver.slots) == 1
    assert answers_in(tmp_path) == {index: answer.text for index, answer in one.items()}
    assert lines_in(tmp_path) == len(asked) and done[0].cached_tokens > 0
