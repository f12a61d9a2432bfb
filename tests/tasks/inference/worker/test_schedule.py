"""The schedule, with an engine that records how it is driven: order, images, what is counted."""

import random
from pathlib import Path
from typing import Any

import pytest

from pixtrack.tasks.inference.engines.base import (
    EngineOutput,
)
from pixtrack.tasks.records import Answer, Request
from pixtrack.tasks.runs.image_groups import group_by_image
from tests.doubles.recording_engine import (
    RecordingEngine,
    capabilities,
    images,
    requests,
)
from tests.tasks.inference.worker.asking import ask


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


def test_without_prefix_caching_nobody_waits(tmp_path: Path) -> None:
    engine = RecordingEngine(prefill_seconds=0.05)
    able = capabilities(prefix_caching=False)
    answers, stats = ask(engine, requests(images(tmp_path, 1), 4), able=able)
    assert len(answers) == 4
    assert engine.moment("submitted", 3) < engine.moment("first token", 0)
    assert stats.ideal_cached_tokens == 0


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


def test_an_answer_cut_off_at_max_tokens_is_counted(tmp_path: Path) -> None:
    answers, stats = ask(RecordingEngine(), requests(images(tmp_path, 2), 5))
    assert answers[7].finish_reason == "length"
    assert stats.truncated == 1


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


def test_nothing_asked_is_nothing_done() -> None:
    answers, stats = ask(RecordingEngine(), [])
    assert answers == {} and stats.asked == 0 and stats.cached_share == 0.0


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


def test_the_time_of_reading_images_is_counted(tmp_path: Path) -> None:
    _, stats = ask(RecordingEngine(), requests(images(tmp_path, 3, size=(600, 600)), 2))
    assert stats.image_seconds > 0
