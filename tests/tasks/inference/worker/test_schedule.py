"""The schedule, with an engine that records how it is driven."""

import asyncio
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.engines.base import (
    Capabilities,
    EngineDied,
    EngineOutput,
    RequestRefused,
)
from pixtrack.tasks.inference.prompts.base import Draft
from pixtrack.tasks.inference.worker import reading
from pixtrack.tasks.inference.worker.images import read_images, working_bytes
from pixtrack.tasks.inference.worker.schedule import run_schedule
from pixtrack.tasks.inference.worker.schedule_stats import ScheduleStats
from pixtrack.tasks.records import Answer, ImageRef, Request
from pixtrack.tasks.runs.image_groups import group_by_image
from tests.doubles.recording_engine import (
    PlainBuilder,
    RecordingEngine,
    capabilities,
    images,
    requests,
)

SAMPLING = Sampling(max_tokens=8)
# Seconds to decode that outlast every submission of a test, on a busy machine too: what is counted
# is then what the schedule lets in, not how fast this machine is.
LONG = 0.3


def ask(
    engine: RecordingEngine,
    asked: list[Request],
    on_answer: Callable[[Answer], None] | None = None,
    able: Capabilities | None = None,
    **options: Any,
) -> tuple[dict[int, Answer], ScheduleStats]:
    answers: list[Answer] = []
    stats = asyncio.run(
        run_schedule(
            engine,
            able or capabilities(),
            asked,
            SAMPLING,
            PlainBuilder(),
            on_answer or answers.append,
            **options,
        )
    )
    return {answer.index: answer for answer in answers}, stats


def test_every_request_is_answered_exactly_once(tmp_path: Path) -> None:
    asked = requests(images(tmp_path, 7), 5)
    random.Random(0).shuffle(asked)
    engine = RecordingEngine()
    answers, stats = ask(engine, asked)
    assert {index: answer.text for index, answer in answers.items()} == {
        index: f"answer {index}" for index in range(35)
    }
    assert stats.asked == 35
    assert sorted(r for e, r in engine.events if e == "done") == sorted(map(str, range(35)))


def test_followers_wait_for_their_leaders_first_token(tmp_path: Path) -> None:
    engine = RecordingEngine()
    ask(engine, requests(images(tmp_path, 3), 4))
    for leader in (0, 4, 8):
        for follower in range(leader + 1, leader + 4):
            assert engine.moment("first token", leader) < engine.moment("submitted", follower)


def test_followers_do_not_wait_for_their_leaders_last_token(tmp_path: Path) -> None:
    engine = RecordingEngine(decode_seconds=0.05)
    ask(engine, requests(images(tmp_path, 1), 3))
    assert engine.moment("submitted", 2) < engine.moment("done", 0)


def test_an_engine_that_does_not_stream_still_gets_its_followers(tmp_path: Path) -> None:
    engine = RecordingEngine(streams=False)
    answers, _ = ask(engine, requests(images(tmp_path, 2), 3))
    assert len(answers) == 6
    assert engine.moment("done", 0) < engine.moment("submitted", 1)


def test_an_images_pixels_are_read_and_sent_once(tmp_path: Path) -> None:
    engine = RecordingEngine()
    _, stats = ask(engine, requests(images(tmp_path, 4), 5))
    assert engine.sent_images == {f"hash{i}": 1 for i in range(4)}
    assert (stats.images_read, stats.images_resent) == (4, 0)


def test_an_image_that_the_engine_dropped_is_sent_again(tmp_path: Path) -> None:
    engine = RecordingEngine(caches_images=False)
    answers, stats = ask(engine, requests(images(tmp_path, 1), 3))
    assert all(not answer.failed for answer in answers.values())
    assert stats.images_resent == 2


def test_the_same_image_in_scattered_rows_is_one_group(tmp_path: Path) -> None:
    a, b = images(tmp_path, 2)
    asked = [Request(i, ((a, b)[i % 2],), (f"q{i}",)) for i in range(10)]
    _, stats = ask(RecordingEngine(), asked)
    assert stats.image_groups == 2


def test_groups_in_flight_hold_no_more_than_the_kv_cache(tmp_path: Path) -> None:
    # A group of four: 100 shared tokens in 96 whole blocks, and four times 32 for its own.
    able = capabilities(kv_cache_tokens=1000)
    engine = RecordingEngine(decode_seconds=LONG)
    _, stats = ask(engine, requests(images(tmp_path, 30), 4), able=able)
    assert engine.peak_groups == stats.peak_groups == 900 // (96 + 4 * 32)


def test_groups_in_flight_leave_the_image_embeddings_room(tmp_path: Path) -> None:
    # 100 image tokens a group; a cache of 1,400 may be filled to seven tenths.
    able = capabilities(kv_cache_tokens=100_000, details={"encoder_cache_tokens": 1400})
    engine = RecordingEngine(decode_seconds=LONG)
    ask(engine, requests(images(tmp_path, 60), 2), able=able)
    assert engine.peak_groups == 9


def test_a_small_cache_of_image_embeddings_does_not_starve_the_engine(tmp_path: Path) -> None:
    able = capabilities(kv_cache_tokens=100_000, details={"encoder_cache_tokens": 200})
    engine = RecordingEngine(decode_seconds=LONG)
    ask(engine, requests(images(tmp_path, 60), 2), able=able)
    assert engine.peak_groups == 8


def test_a_group_larger_than_the_kv_cache_is_asked_a_few_at_a_time(tmp_path: Path) -> None:
    able = capabilities(kv_cache_tokens=400)
    engine = RecordingEngine(decode_seconds=LONG)
    answers, _ = ask(engine, requests(images(tmp_path, 1), 40), able=able)
    assert len(answers) == 40
    # 96 tokens of the image and 32 of each question, in nine tenths of the cache.
    assert engine.peak_requests == (360 - 96) // 32


def test_without_prefix_caching_nobody_waits(tmp_path: Path) -> None:
    engine = RecordingEngine(prefill_seconds=0.05)
    able = capabilities(prefix_caching=False)
    answers, stats = ask(engine, requests(images(tmp_path, 1), 4), able=able)
    assert len(answers) == 4
    assert engine.moment("submitted", 3) < engine.moment("first token", 0)
    assert stats.ideal_cached_tokens == 0


def test_no_more_requests_are_in_flight_than_the_engine_takes(tmp_path: Path) -> None:
    engine = RecordingEngine(decode_seconds=0.05)
    able = capabilities(kv_cache_tokens=None, max_concurrency=3)
    ask(engine, requests(images(tmp_path, 10), 4), able=able)
    assert engine.peak_requests == 3


def test_the_last_groups_go_biggest_first(tmp_path: Path) -> None:
    refs = images(tmp_path, 6)
    sizes = (1, 5, 2, 6, 3, 4)
    asked = [
        Request(index, (ref,), ("q",))
        for index, ref in enumerate(r for r, n in zip(refs, sizes, strict=True) for _ in range(n))
    ]
    groups = group_by_image(asked)
    assert [len(group) for group in groups] == [6, 5, 4, 3, 2, 1]


def test_early_groups_keep_the_order_of_the_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixtrack.tasks.runs.image_groups.TAIL_GROUPS", 2)
    refs = images(tmp_path, 4)
    asked = [
        Request(index, (ref,), ("q",))
        for index, ref in enumerate(
            r for r, n in zip(refs, (1, 3, 1, 2), strict=True) for _ in range(n)
        )
    ]
    assert [len(group) for group in group_by_image(asked)] == [1, 3, 2, 1]


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


def test_an_answer_cut_off_at_max_tokens_is_counted(tmp_path: Path) -> None:
    answers, stats = ask(RecordingEngine(), requests(images(tmp_path, 2), 5))
    assert answers[7].finish_reason == "length"
    assert stats.truncated == 1


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


def test_images_waiting_for_the_engine_are_bounded_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = images(tmp_path, 12, size=(100, 100))
    monkeypatch.setattr(reading, "MEMORY_AHEAD_BYTES", 2 * 100 * 100 * 15)
    held = []
    lock = threading.Lock()
    engine = RecordingEngine(prefill_seconds=0.01)
    read = read_images

    def counting(images: Any, prepare: Any) -> Any:
        with lock:
            held.append(1)
            assert sum(held) - len(engine.sent_images) <= 3  # two ahead, one on its way
        return read(images, prepare)

    monkeypatch.setattr(reading, "read_images", counting)
    ask(engine, requests(refs, 1), able=capabilities(kv_cache_tokens=150))
    assert sum(held) == 12


def test_the_ideal_cached_share_is_the_followers_common_prefix(tmp_path: Path) -> None:
    # [1] and 100 image tokens and "question " are common: 110 tokens, in blocks of 16: 96.
    _, stats = ask(RecordingEngine(), requests(images(tmp_path, 2), 3))
    assert stats.ideal_cached_tokens == 2 * 2 * 96


def test_the_time_in_the_event_loop_is_charged_to_leaders_and_followers(tmp_path: Path) -> None:
    _, stats = ask(RecordingEngine(), requests(images(tmp_path, 3), 4))
    assert (stats.leaders, stats.followers) == (3, 9)
    assert 0 < stats.leader_loop_seconds + stats.follower_loop_seconds <= stats.loop_seconds
    leader, follower = stats.blocking_ms
    charged = 3 * leader + 9 * follower
    assert charged == pytest.approx(1000 * stats.loop_seconds)


def test_a_request_without_an_image_is_its_own_group() -> None:
    asked = [Request(0, (), ("hello",)), Request(1, (), ("world",))]

    class TextBuilder(PlainBuilder):
        image_tokens = 0

        def draft(self, request: Request) -> Draft:
            draft = super().draft(request)
            return type(draft)(request, 8, 0, tuple(i for i in draft.token_ids or () if i >= 0))

    answers: list[Answer] = []
    stats = asyncio.run(
        run_schedule(
            RecordingEngine(), capabilities(), asked, SAMPLING, TextBuilder(), answers.append
        )
    )
    assert stats.image_groups == 2
    assert not any(answer.failed for answer in answers)


def test_a_documents_pages_are_read_sent_and_computed_once(tmp_path: Path) -> None:
    pages = tuple(images(tmp_path, 40))
    asked = [Request(index, pages, (f"question {index}",)) for index in range(6)]
    able = capabilities(kv_cache_tokens=100_000, max_model_len=10_000)
    engine = RecordingEngine()
    answers, stats = ask(engine, asked, able=able)
    assert not any(answer.failed for answer in answers.values())
    assert (stats.image_groups, stats.images_read, stats.images_resent) == (1, 40, 0)
    assert engine.sent_images == {f"hash{i}": 1 for i in range(40)}
    assert stats.ideal_cached_tokens == 5 * (4010 // 16 * 16)
    assert all(
        engine.moment("first token", 0) < engine.moment("submitted", follower)
        for follower in range(1, 6)
    )


def test_a_branch_waits_for_what_it_shares_and_is_waited_for_by_its_own(tmp_path: Path) -> None:
    a, b, c = images(tmp_path, 3)
    shows = [(a,), (a, b), (a, b), (a, c), (a, c), (a, c)]
    asked = [Request(index, pages, ("q",)) for index, pages in enumerate(shows)]
    engine = RecordingEngine()
    _, stats = ask(engine, asked)
    # 1 leads; 0 and 2 follow it, and so does 3, which leads 4 and 5 in turn.
    for before, after in ((1, 0), (1, 2), (1, 3), (3, 4), (3, 5)):
        assert engine.moment("first token", before) < engine.moment("submitted", after)
    assert engine.sent_images == {"hash0": 1, "hash1": 1, "hash2": 1}
    assert (stats.image_groups, stats.images_read) == (1, 3)


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


def test_of_a_document_that_does_not_fit_the_datasets_rule_leaves_pages_out(tmp_path: Path) -> None:
    pages = tuple(images(tmp_path, 12))
    asked = [
        Request(0, pages, ("q",), pages="first", left_out=3),
        Request(1, pages, ("q",), pages="even"),
        Request(2, pages, ("q",)),
    ]
    answers, _ = ask(RecordingEngine(), asked)
    # 1,000 less 8 for the answer and 256 for the text: seven pages of 100.
    assert {i: (a.finish_reason, a.left_out) for i, a in answers.items()} == {
        0: ("stop", 3 + 5), 1: ("stop", 5), 2: ("refused", 0)
    }  # fmt: skip
    assert "1,203 tokens (1,200 of them for the 12 images)" in answers[2].error


def test_pages_ahead_are_worked_on_one_at_a_time(tmp_path: Path) -> None:
    pages = images(tmp_path, 10, size=(100, 200))
    one = 100 * 200
    assert working_bytes(pages[:1]) == one * 15
    assert working_bytes(pages) == 10 * one * 12 + one * 3
    resized = working_bytes(pages, lambda width, height: (width // 2, height // 2))
    assert resized == 10 * one // 4 * 12 + one * 12
    assert working_bytes([]) == 0


def test_nothing_asked_is_nothing_done() -> None:
    answers, stats = ask(RecordingEngine(), [])
    assert answers == {} and stats.asked == 0 and stats.cached_share == 0.0


def test_worked_examples_are_computed_once_before_the_other_groups(tmp_path: Path) -> None:
    shot, *asked = images(tmp_path, 6)
    few = [
        Request(
            number, (shot, one), ("e", "a", "q"), shots=2, parts=((None, "e"), ("a",), (None, "q"))
        )
        for number, one in enumerate(asked)
    ]
    engine = RecordingEngine()
    answers, stats = ask(engine, few)
    assert len(answers) == 5 and stats.image_groups == 5
    first = group_by_image(few)[0][0].index
    for number in {0, 1, 2, 3, 4} - {first}:
        assert engine.moment("first token", first) < engine.moment("submitted", number)


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


@pytest.mark.parametrize(("given", "counted"), [(None, 3), (40, 40)])
def test_what_the_engine_says_of_an_answer_is_kept(
    tmp_path: Path, given: int | None, counted: int
) -> None:
    class Outspoken(RecordingEngine):
        async def generate(self, *_: Any) -> EngineOutput:
            return EngineOutput(
                text="42", finish_reason="length", token_ids=(1, 2, 3), prompt_tokens=11,
                cached_tokens=7, first_token_seconds=0.25, seconds=0.75, output_tokens=given,
                reasoning="6 x 7",
            )  # fmt: skip

    (ref,) = images(tmp_path, 1)
    answers, _ = ask(Outspoken(), [Request(5, (ref,), ("q",), left_out=3)])
    assert answers[5] == Answer(
        index=5, text="42", finish_reason="length", prompt_tokens=11, cached_tokens=7,
        output_tokens=counted, first_token_seconds=0.25, seconds=0.75, reasoning="6 x 7",
        left_out=3,
    )  # fmt: skip


def test_an_answer_that_is_none_has_no_text(tmp_path: Path) -> None:
    refs = images(tmp_path, 2)
    asked = [Request(n, (ref,), ("q",), left_out=2) for n, ref in enumerate(refs)]
    engine = RecordingEngine(fail={"0": RequestRefused("too long"), "1": ValueError("odd")})
    answers, _ = ask(engine, asked)
    assert answers[0] == Answer(0, "", "refused", error="too long", left_out=2)
    assert (answers[1].text, answers[1].error) == ("", "ValueError: odd")


def test_worked_examples_are_computed_before_any_other_group_begins(tmp_path: Path) -> None:
    example, *pages = images(tmp_path, 5)
    asked = [
        Request(index, (example, page), ("Example?", "one", f"question {index}"), "",
                ((None, "Example?"), ("one",), (None, f"question {index}")), shots=1)
        for index, page in enumerate(page for page in pages for _ in range(2))
    ]  # fmt: skip
    engine = RecordingEngine(prefill_seconds=0.02, decode_seconds=LONG)
    answers, _ = ask(engine, asked)
    assert not any(answer.failed for answer in answers.values()) and len(answers) == 8
    ((_, first), *_) = engine.events
    done = engine.events.index(("first token", first))
    others = [at for at, (event, who) in enumerate(engine.events)
              if event == "submitted" and who != first]  # fmt: skip
    assert min(others) > done
    # Computed once, and not waited for again: the other groups begin side by side.
    assert engine.peak_requests > 2


def test_the_time_of_reading_images_is_counted(tmp_path: Path) -> None:
    _, stats = ask(RecordingEngine(), requests(images(tmp_path, 3, size=(600, 600)), 2))
    assert stats.image_seconds > 0
