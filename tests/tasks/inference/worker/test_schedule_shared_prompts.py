"""Documents, branches and worked examples: what prompts share is computed once."""

import asyncio
from pathlib import Path

from pixtrack.tasks.inference.prompts.base import Draft
from pixtrack.tasks.inference.worker.schedule import run_schedule
from pixtrack.tasks.records import Answer, Request
from pixtrack.tasks.runs.image_groups import group_by_image
from tests.doubles.recording_engine import (
    PlainBuilder,
    RecordingEngine,
    capabilities,
    images,
)
from tests.tasks.inference.worker.asking import LONG, SAMPLING, ask


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
