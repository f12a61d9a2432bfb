"""Several inference children used like one: real workers, with an endpoint for an engine.

That the same holds with vLLM is tested at the end, on the CPU: both replicas share its cores.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from pixtrack.tasks.inference.host.environment import child_environment
from pixtrack.tasks.inference.host.replicas import EngineReplicas
from pixtrack.tasks.inference.host.session import EngineFailed, EngineSession
from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.journal import Journal, read_answers
from pixtrack.tasks.runs.protocol import EngineSpec
from tests.doubles.asking import FINGERPRINT, RunningEngine, until, write_job
from tests.doubles.endpoint import Endpoint, Reply, completion
from tests.doubles.patience import wait_until
from tests.doubles.processes import alive, below

Ask = Callable[[int, int], list[Request]]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(answer=lambda body: Reply(completion("42", prompt_tokens=100))) as endpoint:
        yield endpoint


def spec(endpoint: Endpoint, number: int = 2) -> EngineSpec:
    return EngineSpec(
        engine="openai",
        format="endpoint",
        family="",
        options={"base_url": endpoint.url, "request_timeout_seconds": 20, "max_concurrency": 1},
        replicas=((),) * number,
    )


def children(replicas: EngineReplicas) -> list[int]:
    return [process.pid for process in replicas._processes if process.pid is not None]


def test_their_answers_and_counts_come_together_as_one(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    requests = ask_about(6, 2)
    job = write_job(tmp_path, requests)
    with EngineReplicas(spec(endpoint), tmp_path / "engine.log") as replicas:
        replicas.submit(job)
        replicas.no_more_jobs()
        events = list(replicas.events())
    kinds = [event.event for event in events]
    assert kinds[:2] == ["starting", "ready"] and kinds[-2:] == ["job_done", "closed"]
    assert events[1].details["replicas"] == 2
    done = events[-2]
    assert (done.done, done.total, done.already_answered, done.images) == (12, 12, 0, 6)
    assert done.prompt_tokens == 1200 and done.started and done.elapsed_seconds > 0
    assert [part["asked"] for part in done.details["parts"]] == [6, 6]
    answers = read_answers(Path(job.journal_path))
    assert sorted(answers) == list(range(12)) and not list(tmp_path.glob("*.part*"))


def test_only_what_is_missing_is_asked(endpoint: Endpoint, ask_about: Ask, tmp_path: Path) -> None:
    requests = ask_about(5, 2)
    for some, asked in ((requests[:6], 6), (requests, 4)):
        job = write_job(tmp_path, some)
        with EngineReplicas(spec(endpoint), tmp_path / "engine.log") as replicas:
            replicas.submit(job)
            done = until(replicas.events(), "job_done")[-1]
        assert done.done == asked
    assert (done.total, done.already_answered) == (10, 6)


def test_two_jobs_are_done_in_their_order(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    jobs = [write_job(tmp_path / name, ask_about(3, 2), job_id=name) for name in ("a", "b")]
    with EngineReplicas(spec(endpoint), tmp_path / "engine.log") as replicas:
        for job in jobs:
            replicas.submit(job)
        replicas.no_more_jobs()
        done = [event.job_id for event in replicas.events() if event.event == "job_done"]
    assert done == ["a", "b"]


@pytest.mark.parametrize("killed", ["guard", "everything"])
def test_a_replica_that_is_killed_ends_the_run_and_no_answer_is_lost(
    killed: str, ask_about: Ask, tmp_path: Path
) -> None:
    requests = ask_about(12, 4)
    parts = [tmp_path / f"answers.part{n}.jsonl" for n in (0, 1)]
    release = Event()

    def both_have_begun() -> bool:
        return all(len(read_answers(part)) > 2 for part in parts)

    def answer(_body: dict[str, Any]) -> Reply:
        return Reply(completion("42"), held=release if both_have_begun() else None)

    with Endpoint(answer=answer) as endpoint:
        job = write_job(tmp_path, requests)
        replicas = EngineReplicas(spec(endpoint), tmp_path / "engine.log")
        with replicas:
            replicas.submit(job)
            events = replicas.events()
            until(events, "progress")
            wait_until(both_have_begun, "answers of both")
            processes = children(replicas)
            everything = [pid for child in processes for pid in (child, *below(child))]
            victims = [processes[1], *(below(processes[1]) if killed == "everything" else [])]
            for pid in reversed(victims):
                os.kill(pid, signal.SIGKILL)
            last = list(events)[-1]
        assert last.event == "engine_failed" and "replica 2 of 2" in last.message
        assert not alive(everything)
        answered = read_answers(Path(job.journal_path))
        assert 4 < len(answered) < len(requests)
        release.set()
        with EngineReplicas(spec(endpoint), tmp_path / "engine.log") as replicas:
            replicas.submit(job)
            done = until(replicas.events(), "job_done")[-1]
    assert done.already_answered == len(answered)
    assert sorted(read_answers(Path(job.journal_path))) == [r.index for r in requests]


def test_a_part_that_fails_does_not_stop_the_others_and_fails_the_job(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    requests = ask_about(4, 2)
    job = write_job(tmp_path, requests)
    held = tmp_path / "answers.part1.jsonl"
    with EngineReplicas(spec(endpoint), tmp_path / "engine.log") as replicas:
        replicas.submit(job)
        with Journal(held, FINGERPRINT):  # the child is refused: somebody else writes it
            events = []
            for event in replicas.events():
                events.append(event)
                if event.event in ("job_done", "job_failed"):
                    break
    assert events[-1].event == "job_failed" and "answers.part1" in events[-1].message
    assert len(read_answers(Path(job.journal_path))) == 4


def test_the_session_takes_replicas_where_the_plan_has_them(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    class Run:
        job = write_job(tmp_path, ask_about(3, 2))

    with EngineSession(spec(endpoint, 3), tmp_path / "engine.log") as session:
        asked = session.ask(Run(), lambda _: None)
    assert asked.asked == 6 and asked.engine["replicas"] == 3
    away = spec(endpoint).model_copy(update={"options": {"base_url": "http://127.0.0.1:9/v1"}})
    with (
        pytest.raises(EngineFailed, match=r"replica \d of 2: .*cannot be reached"),
        EngineSession(away, tmp_path / "engine.log") as session,
    ):
        session.ask(Run(), lambda _: None)


def test_each_child_sees_its_own_cards() -> None:
    made = child_environment({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, "/scratch", ("2", "3"))
    assert made["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert made["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # as the cards are counted
    assert "IX_VISIBLE_DEVICES" not in made
    corex = child_environment({"IX_VISIBLE_DEVICES": "0,1"}, "/scratch", ("1",))
    assert corex["IX_VISIBLE_DEVICES"] == corex["CUDA_VISIBLE_DEVICES"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in child_environment({}, "/scratch")


@pytest.mark.engine
def test_two_real_engines_answer_as_one_does(
    running_engine: RunningEngine, tiny_spec: EngineSpec, ask_about: Ask, tmp_path: Path
) -> None:
    requests = ask_about(6, 3)
    one = running_engine.ask(requests)
    job = write_job(tmp_path, [replace(request) for request in requests])
    two_specs = tiny_spec.model_copy(update={"replicas": ((), ())})
    with EngineReplicas(two_specs, tmp_path / "engine.log") as replicas:
        replicas.submit(job)
        done = until(replicas.events(), "job_done")[-1]
    both = read_answers(Path(job.journal_path))
    assert {i: a.text for i, a in both.items()} == {i: a.text for i, a in one.items()}
    assert done.cached_tokens > 0
