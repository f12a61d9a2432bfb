"""What prompts share: image groups of one image, of whole documents, and of pages in common."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pixtrack.tasks.inference.prompts.base import Draft
from pixtrack.tasks.inference.worker.grouping import Branch, common_tokens, plan_group, plant
from pixtrack.tasks.records import ImageRef, Request
from pixtrack.tasks.runs.image_groups import distinct_images, group_by_image, image_path
from tests.doubles.recording_engine import PlainBuilder, capabilities

A, B, C, D = (ImageRef(name, f"/{name}.png", 40, 30) for name in "abcd")


def ask(index: int, images: Sequence[ImageRef], text: str = "q", **changes: Any) -> Request:
    return Request(index, tuple(images), (text,), **changes)


def drafts(*requests: Request) -> list[Draft]:
    return [PlainBuilder().draft(request) for request in requests]


def shape(branch: Branch) -> tuple[int, list[int], list[Any]]:
    """(leader, followers, branches) by index."""
    return (
        branch.leader.request.index,
        [draft.request.index for draft in branch.followers],
        [shape(further) for further in branch.branches],
    )


@pytest.mark.parametrize(
    ("asked", "groups"),
    [
        ([(A,), (B,), (A,)], [[0, 2], [1]]),
        ([(A, B), (A, B), (B, A)], [[0, 1], [2]]),
        # A page more or less: still one document.
        ([(A, B, C), (A, B), (A, B, D), (A,)], [[0, 1, 2, 3]]),
        ([(), (), (A,)], [[0], [1], [2]]),
    ],
)
def test_prompts_that_begin_with_the_same_image_are_a_group(asked, groups) -> None:
    found = group_by_image(ask(index, images) for index, images in enumerate(asked))
    assert sorted([request.index for request in group] for group in found) == groups


def test_what_stands_before_an_image_counts_as_much_as_the_image() -> None:
    plain = ask(0, (A,))
    marked = ask(1, (A,), parts=(("Look at ", None, "q"),))
    other_words = ask(2, (A,), parts=(("See ", None, "q"),))
    other_system = ask(3, (A,), system="Be brief.")
    earlier = Request(4, (A,), ("x", "y", "q"), parts=(("x",), ("y",), (None, "q")))
    same_words = ask(5, (A, B), parts=(("Look at ", None, " and ", None),))
    found = group_by_image([plain, marked, other_words, other_system, earlier, same_words])
    members = sorted([request.index for request in group] for group in found)
    assert members == [[0], [1, 5], [2], [3], [4]]


def test_two_turns_are_not_one_text() -> None:
    one = Request(0, (A,), ("ab", "", "q"), parts=(("ab",), ("",), (None, "q")))
    two = Request(1, (A,), ("a", "b", "q"), parts=(("a",), ("b",), (None, "q")))
    assert image_path(one) != image_path(two)


def test_all_questions_on_the_same_pages_are_one_leader_and_its_followers() -> None:
    pages = drafts(*(ask(index, (A, B, C), f"question {index}") for index in range(4)))
    assert shape(plant(pages)) == (0, [1, 2, 3], [])


def test_who_shows_the_most_pages_leads_and_the_others_branch_off() -> None:
    asked = [(A,), (A, B, C), (A, B), (A, B, D), (A, B, D), (A, D)]
    planted = plant(drafts(*(ask(index, images) for index, images in enumerate(asked))))
    assert shape(planted) == (1, [0, 2], [(3, [4], []), (5, [], [])])


def test_a_branch_may_branch_again() -> None:
    asked = [(A, B, C, D), (A, C, B), (A, C, D), (A, C)]
    planted = plant(drafts(*(ask(index, images) for index, images in enumerate(asked))))
    assert shape(planted) == (0, [], [(1, [3], [(2, [], [])])])


def test_every_prompt_is_in_its_tree_once() -> None:
    rng = random.Random(1)
    for _ in range(200):
        asked = [ask(index, rng.sample((A, B, C, D), rng.randint(0, 4))) for index in range(9)]
        group = max(group_by_image(asked), key=len)

        def indexes(branch: Branch) -> Iterator[int]:
            yield branch.leader.request.index
            yield from (draft.request.index for draft in branch.followers)
            for further in branch.branches:
                yield from indexes(further)

        found = sorted(indexes(plant(drafts(*group))))
        assert found == sorted(request.index for request in group)


def test_common_tokens_end_where_an_image_or_a_word_differs() -> None:
    def common(one: Request, other: Request) -> int:
        return common_tokens(*drafts(one, other))

    assert common(ask(0, (A, B), "ab"), ask(1, (A, B), "ac")) == 1 + 200 + 1
    assert common(ask(0, (A, B), "ab"), ask(1, (A, C), "ab")) == 1 + 100
    assert common(ask(0, (B,), "ab"), ask(1, (A,), "ab")) == 1
    # The last token is computed anew, also of a prompt that is there already.
    assert common(ask(0, (A,), "ab"), ask(1, (A,), "ab")) == 1 + 100 + 2 + 1 - 1


def test_the_plan_of_a_document_counts_its_pages_once() -> None:
    able = capabilities(kv_cache_tokens=100_000, max_model_len=10_000)
    asked = [ask(index, (A, B, C), f"{index}") for index in range(5)]
    plan = plan_group(plant(drafts(*asked)), 8, able)
    # [1] and 300 tokens of images in common: 18 whole blocks of 16.
    assert plan.cached == 4 * 288
    assert plan.image_tokens == 300
    # 303 prompt tokens and 8 of the answer each, of which 288 are shared.
    assert plan.reserved == 320 + 4 * 32
    assert plan.width == 5


def test_the_plan_of_branches_counts_what_each_adds() -> None:
    able = capabilities(kv_cache_tokens=100_000, max_model_len=10_000)
    asked = [ask(0, (A, B, C)), ask(1, (A, B)), ask(2, (A, D)), ask(3, (A, D))]
    plan = plan_group(plant(drafts(*asked)), 8, able)
    assert plan.cached == (201 // 16 + 101 // 16 + 202 // 16) * 16
    assert plan.image_tokens == 400
    without = plan_group(plant(drafts(*asked)), 8, capabilities(prefix_caching=False))
    assert without.cached == 0


def test_a_document_larger_than_the_cache_is_asked_a_few_at_a_time() -> None:
    able = capabilities(kv_cache_tokens=1000, max_model_len=10_000)
    asked = [ask(index, (A, B, C, D), f"{index}") for index in range(9)]
    plan = plan_group(plant(drafts(*asked)), 8, able)
    # 400 shared; of nine tenths of the cache, 16 for each question that goes along.
    assert plan.width == 9 and plan.reserved == 400 + 9 * 16
    small = plan_group(plant(drafts(*asked)), 8, capabilities(kv_cache_tokens=560))
    assert small.width == (504 - 400) // 16


def test_an_image_that_was_not_hashed_is_told_apart_by_its_path() -> None:
    one, other = ImageRef("", "/one.png", 4, 3), ImageRef("", "/other.png", 4, 3)
    assert len(group_by_image([ask(0, (one,)), ask(1, (other,)), ask(2, (one,))])) == 2
    assert distinct_images([ask(0, (one, other)), ask(1, (other, one))]) == [one, other]


def test_where_the_kv_cache_is_unknown_a_group_reserves_nothing_and_goes_whole() -> None:
    able = capabilities(kv_cache_tokens=None)
    plan = plan_group(plant(drafts(*(ask(index, (A,), f"{index}") for index in range(9)))), 8, able)
    assert (plan.reserved, plan.width) == (0, 9)
