"""A replica on its node, without Ray: a real guard and child, with an endpoint for an engine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.host.cluster.replica import Replica, ReplicaPlan
from pixtrack.tasks.records import request_to_json
from pixtrack.tasks.runs.protocol import Event, Order
from tests.doubles.asking import draw_images, questions
from tests.doubles.endpoint import Endpoint
from tests.tasks.inference.host.cluster.driving import endpoint_spec


class Listening:
    """Fetches a replica's news as the driver does."""

    def __init__(self, replica: Replica) -> None:
        self.replica, self.have = replica, 0
        self.heard: list[Event] = []

    def until(self, kind: str, number: int = 1) -> list[Event]:
        while sum(event.event == kind for event in self.heard) < number:
            first, news = self.replica.news(self.have, 30)
            assert news, f"no {kind} came: {self.heard}"
            self.heard += [Event.model_validate_json(text) for text in news[self.have - first :]]
            self.have = first + len(news)
        return [event for event in self.heard if event.event == kind]


@pytest.fixture
def replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replica]:
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "home"))
    with Endpoint() as endpoint:
        spec = endpoint_spec(endpoint.url, at_once=1)
        log = str(tmp_path / "engine.log")
        made = Replica(ReplicaPlan(1, spec, log, str(tmp_path), socket.gethostname()))
        made.start(())
        yield made
        made.close()


def ask(images: Path, hide: bool = False, questions_each: int = 2) -> list[str]:
    requests = questions(draw_images(images, 3), questions_each)
    orders = []
    for group in range(3):
        asked = tuple(
            request_to_json(r) for r in requests[group * questions_each :][:questions_each]
        )
        orders.append(
            Order(order="ask", group=group, requests=asked, sampling=Sampling(max_tokens=8))
        )
    texts = [order.model_dump_json(exclude_defaults=True) for order in orders]
    return [text.replace(str(images), "/elsewhere") for text in texts] if hide else texts


def test_it_answers_what_it_is_sent_and_says_what_it_has_begun(
    replica: Replica, tmp_path: Path
) -> None:
    listening = Listening(replica)
    listening.until("ready")
    replica.tell(ask(tmp_path))
    answers = listening.until("answer", 6)
    assert sorted(event.details["index"] for event in answers) == list(range(6))
    assert all(event.details["text"] == "42" for event in answers)
    assert [e.details["group"] for e in listening.until("begun", 3)] == [0, 1, 2]
    assert sorted(e.details["index"] for e in listening.until("asked", 6)) == list(range(6))
    assert Path(replica.where()["log"]).name == "engine-2.log"


def test_images_that_are_not_there_are_asked_for_and_waited_for(
    replica: Replica, tmp_path: Path
) -> None:
    listening = Listening(replica)
    listening.until("ready")
    replica.tell(ask(tmp_path, hide=True))
    missing = {
        digest: path
        for event in listening.until("images_missing", 3)
        for digest, path in event.details["images"].items()
    }
    assert not listening.heard or all(event.event != "answer" for event in listening.heard)
    for digest, path in missing.items():
        replica.put_images({digest: (tmp_path / Path(path).name).read_bytes()})
    answers = listening.until("answer", 6)
    assert all(event.details["finish_reason"] == "stop" for event in answers)


def test_groups_that_are_not_begun_come_back(tmp_path: Path, replica: Replica) -> None:
    listening = Listening(replica)
    listening.until("ready")
    give_back = Order(order="give_back", most=2).model_dump_json(exclude_defaults=True)
    replica.tell([*ask(tmp_path, questions_each=4), give_back])
    (given,) = listening.until("given_back")
    kept = {0, 1, 2} - set(given.details["groups"])
    answered = listening.until("answer", 4 * len(kept))
    assert {event.details["index"] // 4 for event in answered} == kept


def test_news_that_were_not_taken_are_told_again(replica: Replica) -> None:
    listening = Listening(replica)
    listening.until("ready")
    first, news = replica.news(0, 1)
    # The driver said before that it has them: they are gone, and none is told twice.
    assert first + len(news) >= listening.have
    again, same = replica.news(listening.have, 0)
    assert (again, same) == replica.news(listening.have, 0)


def test_an_engine_that_does_not_start_says_why(tmp_path: Path) -> None:
    spec = endpoint_spec("http://127.0.0.1:9/v1")
    log = str(tmp_path / "engine.log")
    replica = Replica(ReplicaPlan(0, spec, log, str(tmp_path), socket.gethostname()))
    try:
        replica.start(())
        (failed,) = Listening(replica).until("engine_failed")
    finally:
        replica.close()
    assert "cannot be reached" in failed.message and failed.details["log"] == log
