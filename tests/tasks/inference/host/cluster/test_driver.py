"""The driver, with replicas that are threads: who gets what, and what becomes of those that die."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.host.cluster import crew
from pixtrack.tasks.inference.host.cluster import driver as module
from pixtrack.tasks.inference.host.cluster.driver import EngineCluster
from pixtrack.tasks.inference.host.cluster.work import PER_JOB
from pixtrack.tasks.inference.host.session import EngineFailed, EngineSession
from pixtrack.tasks.records import Answer, ImageRef, Request
from pixtrack.tasks.runs.journal import Journal, read_answers
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job
from tests.doubles.asking import FINGERPRINT, write_job
from tests.doubles.fleet import READY, Behaviour, FakeFleet

SPEC = EngineSpec(engine="vllm", format="mistral", family="pixtral", takes="orders")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "RESTART_SECONDS", 0.0)
    monkeypatch.setattr(module, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(crew, "NO_ROOM_SECONDS", 0.5)


def requests(images: int, each: int = 3) -> list[Request]:
    refs = [ImageRef(f"hash{n}", f"/{n}.png", 10, 10) for n in range(images)]
    return [
        Request(n * each + k, (refs[n],), (f"image {n} question {k}",))
        for n in range(images)
        for k in range(each)
    ]


def ask(fleet: FakeFleet, *jobs: Job) -> list[Event]:
    """All events until every job has ended, or the driver."""
    seen: list[Event] = []
    with EngineCluster(SPEC, fleet, len(fleet.behaviours)) as cluster:
        for job in jobs:
            cluster.submit(job)
        left = len(jobs)
        for event in cluster.events():
            seen.append(event)
            left -= event.event in ("job_done", "job_failed")
            if not left or event.event in ("engine_failed", "closed"):
                break
    assert fleet.closed
    return seen


def check_answers(job: Job, asked: list[Request]) -> None:
    journal = Path(job.journal_path)
    found = {index: answer.text for index, answer in read_answers(journal).items()}
    assert found == {request.index: request.turns[-1] for request in asked}
    assert len(journal.read_bytes().splitlines()) == 1 + len(asked)  # once each


def test_a_fast_replica_gets_more_and_all_is_answered_once(tmp_path: Path) -> None:
    asked = requests(200)
    job = write_job(tmp_path, asked)
    fleet = FakeFleet([Behaviour(rate=1000)], [Behaviour(rate=150)])
    events = ask(fleet, job)
    done = events[-1]
    assert (done.event, done.done, done.total, done.images) == ("job_done", 600, 600, 200)
    assert done.prompt_tokens == 60_000 and done.details["asked_twice"] == 0
    fast, slow = (replica["answered"] for replica in done.details["replicas"])
    assert fast > slow > 0
    check_answers(job, asked)
    # An image's questions went to one replica.
    homes = [{number % PER_JOB // 3 for number in replica.asked} for replica in fleet.started]
    assert not homes[0] & homes[1]


def test_only_what_is_missing_is_asked(tmp_path: Path) -> None:
    asked = requests(10)
    for some, number in ((asked[:12], 12), (asked, 18)):
        job = write_job(tmp_path, some)
        done = ask(FakeFleet([Behaviour()], [Behaviour()]), job)[-1]
        assert done.event == "job_done" and done.done == number
    assert (done.total, done.already_answered) == (30, 12)
    assert ask(FakeFleet([Behaviour()]), job)[-1].done == 0


def test_jobs_share_the_replicas_and_end_in_order(tmp_path: Path) -> None:
    jobs = [write_job(tmp_path / name, requests(20), job_id=name) for name in ("a", "b", "c")]
    events = ask(FakeFleet([Behaviour()], [Behaviour()]), *jobs)
    done = [event for event in events if event.event == "job_done"]
    assert [event.job_id for event in done] == ["a", "b", "c"]
    for event in done:  # of this job alone
        assert sum(replica["answered"] for replica in event.details["replicas"]) == 60
    for job in jobs:
        check_answers(job, requests(20))


def actor_dies(after: int) -> Behaviour:
    return Behaviour(rate=600, dies_after=after)


def engine_dies(after: int) -> Behaviour:
    return Behaviour(rate=600, engine_dies_after=after)


@pytest.mark.parametrize("dies", [actor_dies, engine_dies])
def test_a_replica_that_dies_is_replaced_and_the_run_goes_on(
    dies: Callable[[int], Behaviour], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = requests(150)
    job = write_job(tmp_path, asked)
    fleet = FakeFleet([dies(40), dies(55), Behaviour()], [Behaviour(rate=500)])
    with caplog.at_level(logging.WARNING):
        done = ask(fleet, job)[-1]
    assert done.event == "job_done" and [r.number for r in fleet.started].count(0) == 3
    check_answers(job, asked)
    counted = Counter(number for replica in fleet.started for number in replica.asked)
    assert done.details["asked_twice"] == sum(n - 1 for n in counted.values()) > 0
    assert "replica 1 of 2 on node 0 died" in caplog.text and "go to others" in caplog.text


def test_one_that_cannot_start_is_named_and_the_others_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = requests(20)
    job = write_job(tmp_path, asked)
    fleet = FakeFleet([Behaviour(fails="CUDA out of memory")], [Behaviour()])
    with caplog.at_level(logging.WARNING):
        assert ask(fleet, job)[-1].event == "job_done"
    check_answers(job, asked)
    assert len(fleet.started) == 2  # it would say the same again
    assert "replica 1 of 2 on node 0 did not start: CUDA out of memory" in caplog.text
    assert "/log 0" in caplog.text


def test_it_fails_when_no_replica_is_left_and_then_resumes(tmp_path: Path) -> None:
    asked = requests(50)
    job = write_job(tmp_path, asked)
    mortal = [Behaviour(dies_after=10), Behaviour(dies_after=10), Behaviour(fails="no more")]
    failed = ask(FakeFleet(mortal, mortal), job)
    assert failed[-1].event == "engine_failed" and failed[-2].event == "progress"
    assert "no replica is left: replica 1 of 2 on node 0: no more" in failed[-1].message
    assert failed[-2].done == len(read_answers(Path(job.journal_path))) == 40
    done = ask(FakeFleet([Behaviour()]), job)[-1]
    assert done.event == "job_done" and done.already_answered == 40
    check_answers(job, asked)


def test_one_that_dies_again_and_again_without_an_answer_is_given_up(tmp_path: Path) -> None:
    job = write_job(tmp_path, requests(40))
    fleet = FakeFleet([Behaviour(rate=200, groups=1, engine_dies_after=1)] * 2)
    # It answers before it dies, so it is started again and again, and gets through.
    assert ask(FakeFleet([Behaviour(dies_after=20)]), job)[-1].event == "job_done"
    assert fleet.started == []
    hopeless = FakeFleet([Behaviour(hangs_after=0)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "STUCK_SECONDS", 0.1)
        failed = ask(hopeless, write_job(tmp_path / "other", requests(2)))[-1]
    assert failed.event == "engine_failed" and "no answer for" in failed.message
    assert 1 < len(hopeless.started) <= 4


def test_a_hung_replica_is_ended_and_its_questions_go_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "STUCK_SECONDS", 0.4)
    asked = requests(30)
    job = write_job(tmp_path, asked)
    fleet = FakeFleet([Behaviour(hangs_after=5), Behaviour()], [Behaviour()])
    assert ask(fleet, job)[-1].event == "job_done"
    check_answers(job, asked)


@pytest.mark.parametrize("key", ["version", "platform", "max_model_len", "name"])
def test_an_engine_of_another_kind_takes_no_part(
    key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = write_job(tmp_path, requests(30))
    other = Behaviour(start_seconds=0.1, ready={**READY, key: 1})
    fleet = FakeFleet([Behaviour(rate=100)], [other])
    with caplog.at_level(logging.WARNING):
        assert ask(fleet, job)[-1].event == "job_done"
    assert fleet.started[1].asked == [] and f"its {key} is 1" in caplog.text


def test_no_room_is_said_after_a_while(tmp_path: Path) -> None:
    failed = ask(FakeFleet([Behaviour(never_placed=True)]), write_job(tmp_path, requests(2)))[-1]
    assert failed.event == "engine_failed" and "no room for a replica" in failed.message


def test_a_replica_without_a_place_does_not_hold_the_others_up(tmp_path: Path) -> None:
    job = write_job(tmp_path, requests(20))
    fleet = FakeFleet([Behaviour(never_placed=True)], [Behaviour()])
    done = ask(fleet, job)[-1]
    assert done.event == "job_done"
    assert done.details["replicas"][0]["state"] == "waiting for room"


def test_a_large_group_at_the_end_is_divided(tmp_path: Path) -> None:
    job = write_job(tmp_path, requests(1, 60))
    fleet = FakeFleet(*([Behaviour(rate=100, groups=1)] for _ in range(3)))
    with EngineCluster(SPEC, fleet, 3) as cluster:
        events = cluster.events()
        ready = 0
        for event in events:
            ready += event.event == "ready"
            if ready == 3:
                break
        cluster.submit(job)
        done = next(event for event in events if event.event == "job_done")
    assert sorted(r["answered"] for r in done.details["replicas"]) == [20, 20, 20]
    check_answers(job, requests(1, 60))


def test_a_journal_of_another_run_fails_its_job_alone(tmp_path: Path) -> None:
    bad, good = (write_job(tmp_path / name, requests(5), job_id=name) for name in ("bad", "good"))
    with Journal(Path(bad.journal_path), "another fingerprint"):
        pass
    events = ask(FakeFleet([Behaviour()]), bad, good)
    ended = {e.job_id: e.event for e in events if e.event in ("job_done", "job_failed")}
    assert ended == {"bad": "job_failed", "good": "job_done"}


def test_a_full_disk_fails_the_job_and_not_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = (write_job(tmp_path / name, requests(20), job_id=name) for name in ("bad", "good"))
    append = Journal.append

    def full(self: Journal, answer: Answer, stamp: Mapping[str, Any] | None = None) -> None:
        if "bad" in str(self.path) and answer.index == 7:
            raise UserError("no space left")
        append(self, answer, stamp)

    monkeypatch.setattr(Journal, "append", full)
    events = ask(FakeFleet([Behaviour()]), bad, good)
    ended = {e.job_id: (e.event, e.message) for e in events if e.event.startswith("job_")}
    assert ended["bad"] == ("job_failed", "no space left") and ended["good"][0] == "job_done"


def test_a_cluster_that_refuses_is_the_sessions_failure(tmp_path: Path) -> None:
    class Run:
        job = write_job(tmp_path, requests(2))

    def make(spec: EngineSpec, log: Path) -> EngineCluster:
        return EngineCluster(spec, FakeFleet([Behaviour()], refuses="no Ray there"), 1)

    with (
        EngineSession(SPEC, tmp_path / "engine.log", make_host=make) as session,
        pytest.raises(EngineFailed, match="no Ray there"),
    ):
        session.ask(Run(), lambda _event: None)


def test_the_session_tells_what_each_replica_did(tmp_path: Path) -> None:
    class Run:
        job = write_job(tmp_path, requests(20))

    mortal = [Behaviour(rate=300, dies_after=20), Behaviour()]

    def make(spec: EngineSpec, log: Path) -> EngineCluster:
        return EngineCluster(spec, FakeFleet(mortal, [Behaviour(rate=100)]), 2)

    with EngineSession(SPEC, tmp_path / "engine.log", make_host=make) as session:
        asked = session.ask(Run(), lambda _event: None)
    assert asked.asked == 60 == sum(replica["answered"] for replica in asked.replicas)
    assert [replica["node"] for replica in asked.replicas] == ["node 0", "node 1"]
    assert asked.asked_twice > 0 and asked.engine["replicas"] == 2


def test_closing_in_mid_run_keeps_what_was_answered(tmp_path: Path) -> None:
    job = write_job(tmp_path, requests(500))
    fleet = FakeFleet([Behaviour(rate=400)], [Behaviour(rate=400)])
    with EngineCluster(SPEC, fleet, 2) as cluster:
        cluster.submit(job)
        for event in cluster.events():
            if event.done > 50:
                break
    assert fleet.closed and all(replica.ended for replica in fleet.started)
    assert 50 < len(read_answers(Path(job.journal_path))) < 1500
    with Journal(Path(job.journal_path), FINGERPRINT):
        pass  # nobody holds it any more
    cluster.close()
