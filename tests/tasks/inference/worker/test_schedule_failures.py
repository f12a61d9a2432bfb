"""What the schedule makes of refusals, damaged images and an engine that is gone."""

import asyncio
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.engines.base import (
    EngineDied,
    RequestRefused,
)
from pixtrack.tasks.inference.worker.schedule import run_schedule
from pixtrack.tasks.records import Answer, ImageRef, Request
from tests.doubles.recording_engine import (
    PlainBuilder,
    RecordingEngine,
    capabilities,
    images,
    requests,
)
from tests.tasks.inference.worker.asking import SAMPLING, ask


def test_a_prompt_that_does_not_fit_is_refused_with_its_token_count(tmp_path: Path) -> None:
    asked = requests(images(tmp_path, 1), 3, texts=["q", "x" * 1000, "q"])
    engine = RecordingEngine()
    answers, stats = ask(engine, asked)
    assert answers[1].finish_reason == "refused"
    assert "1,102 tokens (100 of them for the image)" in answers[1].error
    assert "max_model_len 1,000" in answers[1].error
    assert ("submitted", "1") not in engine.events
    assert not answers[0].failed and not answers[2].failed
    assert stats.refused == 1


def test_a_refused_leader_is_followed_by_another(tmp_path: Path) -> None:
    asked = requests(images(tmp_path, 1), 3)
    engine = RecordingEngine(fail={"0": RequestRefused("no")})
    answers, _ = ask(engine, asked)
    assert answers[0].finish_reason == "refused"
    assert engine.moment("first token", 1) < engine.moment("submitted", 2)
    assert engine.sent_images == {"hash0": 1}


def test_a_failed_request_is_an_answer_of_its_own_and_stops_nobody(tmp_path: Path) -> None:
    asked = requests(images(tmp_path, 2), 3)
    engine = RecordingEngine(fail={"1": ValueError("odd"), "3": TimeoutError("slow")})
    answers, stats = ask(engine, asked)
    assert answers[1].finish_reason == answers[3].finish_reason == "error"
    assert answers[1].error == "ValueError: odd"
    assert not answers[1].final
    assert sum(not answer.failed for answer in answers.values()) == 4
    assert stats.failed == 2


def test_a_damaged_image_refuses_its_own_questions_only(tmp_path: Path) -> None:
    good, bad = images(tmp_path, 2)
    (tmp_path / "1.png").write_bytes(b"not an image")
    answers, _ = ask(RecordingEngine(), requests([good, bad], 2))
    assert [answers[i].finish_reason for i in range(4)] == ["stop", "stop", "refused", "refused"]
    assert "1.png" in answers[2].error


def test_an_image_of_another_size_than_prepared_is_refused(tmp_path: Path) -> None:
    (ref,) = images(tmp_path, 1)
    wrong = ImageRef(ref.sha256, ref.path, 41, 30)
    answers, _ = ask(RecordingEngine(), requests([wrong], 1))
    assert answers[0].finish_reason == "refused"
    assert "40×30" in answers[0].error and "41×30" in answers[0].error


@pytest.mark.parametrize("error", [EngineDied("gone"), UserError("mend this")])
def test_an_engine_that_is_gone_ends_the_schedule_at_once(tmp_path: Path, error: Exception) -> None:
    engine = RecordingEngine(decode_seconds=5, fail={"5": error})
    with pytest.raises(type(error), match=str(error)):
        ask(engine, requests(images(tmp_path, 4), 4))
    assert engine.in_flight == 0
    assert engine.cancelled > 0


def test_an_error_of_the_journal_ends_the_schedule(tmp_path: Path) -> None:
    def full(answer: Answer) -> NoReturn:
        raise OSError("disk full")

    engine = RecordingEngine()
    with pytest.raises(OSError, match="disk full"):
        ask(engine, requests(images(tmp_path, 4), 4), on_answer=full)
    assert engine.in_flight == 0


def test_cancellation_leaves_nothing_in_flight_and_loses_no_answer(tmp_path: Path) -> None:
    engine = RecordingEngine(decode_seconds=0.02)
    answers: list[Answer] = []

    async def cancelled() -> list[Any]:
        task = asyncio.create_task(
            run_schedule(
                engine,
                capabilities(kv_cache_tokens=1000),
                requests(images(tmp_path, 30), 4),
                SAMPLING,
                PlainBuilder(),
                answers.append,
            )
        )
        while len(answers) < 5:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(cancelled()) == []
    assert engine.in_flight == 0
    done = {request for event, request in engine.events if event == "done"}
    assert {str(answer.index) for answer in answers} >= done - {engine.events[-1][1]}


def test_a_refused_leader_of_a_document_is_followed_by_another(tmp_path: Path) -> None:
    a, b, c = images(tmp_path, 3)
    shows = [(a, b, c), (a, b), (a, b)]
    asked = [Request(index, pages, ("q",)) for index, pages in enumerate(shows)]
    engine = RecordingEngine(fail={"0": RequestRefused("no")})
    answers, _ = ask(engine, asked)
    assert [answers[i].finish_reason for i in range(3)] == ["refused", "stop", "stop"]
    assert engine.moment("first token", 1) < engine.moment("submitted", 2)


def test_a_damaged_page_refuses_the_questions_that_show_it(tmp_path: Path) -> None:
    a, b, c = images(tmp_path, 3)
    (tmp_path / "2.png").write_bytes(b"not an image")
    asked = [Request(0, (a, b, c), ("q",)), Request(1, (a, b), ("q",))]
    answers, _ = ask(RecordingEngine(), asked)
    assert [answers[i].finish_reason for i in range(2)] == ["refused", "stop"]
    assert "2.png" in answers[0].error


@pytest.mark.parametrize("caching", [True, False])
def test_the_branches_of_a_refused_leader_are_asked_too_each_once(
    tmp_path: Path, caching: bool
) -> None:
    a, b, c, d = images(tmp_path, 4)
    shows = [(a, b, c), (a,), (a, d), (a, d), (a, b)]
    asked = [Request(index, pages, ("q",)) for index, pages in enumerate(shows)]
    engine = RecordingEngine(fail={"0": RequestRefused("no")})
    answers, _ = ask(engine, asked, able=capabilities(prefix_caching=caching))
    assert [answers[i].finish_reason for i in range(5)] == ["refused", *["stop"] * 4]
    assert sorted(r for e, r in engine.events if e == "done") == ["1", "2", "3", "4"]


def test_an_answer_that_is_none_has_no_text(tmp_path: Path) -> None:
    refs = images(tmp_path, 2)
    asked = [Request(n, (ref,), ("q",), left_out=2) for n, ref in enumerate(refs)]
    engine = RecordingEngine(fail={"0": RequestRefused("too long"), "1": ValueError("odd")})
    answers, _ = ask(engine, asked)
    assert answers[0] == Answer(0, "", "refused", error="too long", left_out=2)
    assert (answers[1].text, answers[1].error) == ("", "ValueError: odd")
