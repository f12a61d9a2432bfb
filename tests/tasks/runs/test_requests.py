"""Samples and a prompt to requests."""

import json
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import PromptConfig
from pixtrack.tasks.records import (
    Request,
    Sample,
    SampleImage,
    Turn,
    request_from_json,
    request_to_json,
)
from pixtrack.tasks.runs.requests import PageRule, build_requests, letters


def sample(index: int = 0, **changes: Any) -> Sample:
    fields: dict[str, Any] = {
        "question_id": "q",
        "question": "What is it?",
        "answers": ("x",),
        "images": (SampleImage("abc", "ab/abc.png", 10, 20),),
    }
    return Sample(index=index, **{**fields, **changes})


def prompt(**changes: Any) -> PromptConfig:
    return PromptConfig(
        **{
            "name": "p",
            "title": "P",
            "template": "{context}{question} Briefly.",
            "context_template": "Context: {context}\n",
            "history_template": "{question} (earlier)",
            "max_new_tokens": 5,
            "system": "Be exact.",
            **changes,
        }
    )


def test_the_question_stands_in_the_template_and_the_image_has_its_absolute_path(
    tmp_path: Path,
) -> None:
    (request,) = build_requests([sample(3)], prompt(), tmp_path)
    assert request.index == 3
    assert request.turns == ("What is it? Briefly.",)
    assert request.system == "Be exact."
    (image,) = request.images
    assert image.path == str(tmp_path.resolve() / "ab/abc.png")
    assert (image.sha256, image.width, image.height) == ("abc", 10, 20)


def test_a_conversation_keeps_its_earlier_turns_with_their_gold_answers(tmp_path: Path) -> None:
    history = (Turn("First?", "one"), Turn("Second?", "two"))
    (request,) = build_requests([sample(history=history)], prompt(), tmp_path)
    assert request.turns == (
        "First? (earlier)",
        "one",
        "Second? (earlier)",
        "two",
        "What is it? Briefly.",
    )


def test_a_context_is_put_where_the_template_says_and_nothing_where_there_is_none(
    tmp_path: Path,
) -> None:
    with_context, without = build_requests(
        [sample(context="Sales rose."), sample(1)], prompt(), tmp_path
    )
    assert with_context.turns == ("Context: Sales rose.\nWhat is it? Briefly.",)
    assert without.turns == ("What is it? Briefly.",)


def test_braces_in_a_question_stay_as_they_are(tmp_path: Path) -> None:
    odd = sample(question="Is {context} or {question} or {x} there?", context="{question}")
    (request,) = build_requests([odd], prompt(), tmp_path)
    assert request.turns == (
        "Context: {question}\nIs {context} or {question} or {x} there? Briefly.",
    )


def test_a_sample_with_an_error_is_not_asked(tmp_path: Path) -> None:
    requests = build_requests(
        [sample(), sample(1, error="bad image"), sample(2)], prompt(), tmp_path
    )
    assert [request.index for request in requests] == [0, 2]


def test_a_template_without_the_question_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'p': template: has no \{question\}"):
        build_requests([sample()], prompt(template="What?"), tmp_path)


def images(count: int) -> tuple[SampleImage, ...]:
    return tuple(SampleImage(f"sha{n}", f"{n}.png", 10, 10) for n in range(1, count + 1))


def shown(request: Request) -> list[str]:
    return [image.sha256 for image in request.images]


@pytest.mark.parametrize(
    ("question", "count", "layout", "order"),
    [
        ("What?", 0, ("What?",), []),
        ("What?", 1, (None, "What?"), ["sha1"]),
        ("What?", 3, (None, None, None, "What?"), ["sha1", "sha2", "sha3"]),
        ("<image 1> is?", 1, (None, " is?"), ["sha1"]),
        ("In <image 2> or <image 1>?", 2, ("In ", None, " or ", None, "?"), ["sha2", "sha1"]),
        ("See <image 2>.", 3, (None, None, "See ", None, "."), ["sha1", "sha3", "sha2"]),
        ("<image 1><image 2>", 2, (None, None), ["sha1", "sha2"]),
        ("<image 1>, again <image 1>", 1, (None, ", again <image 1>"), ["sha1"]),
        ("<image 2> is text", 1, (None, "<image 2> is text"), ["sha1"]),
        ("<image 0> <image> <image x> <image 99999>", 1,
         (None, "<image 0> <image> <image x> <image 99999>"), ["sha1"]),
    ],
)  # fmt: skip
def test_an_image_stands_where_the_text_says(
    tmp_path: Path, question, count, layout, order
) -> None:
    plain = prompt(template="{question}", system="")
    asked = sample(question=question, images=images(count))
    (request,) = build_requests([asked], plain, tmp_path)
    assert request.layout[-1] == layout and shown(request) == order
    assert request_from_json(json.loads(json.dumps(request_to_json(request)))) == request


def test_an_option_may_be_an_image_and_options_follow_the_question(tmp_path: Path) -> None:
    asked = sample(question="Which?", options=("<image 1>", "none {option}"), images=images(2))
    (request,) = build_requests([asked], prompt(template="{question}!"), tmp_path)
    assert request.layout == ((None, "Which?\nA. ", None, "\nB. none {option}!"),)
    assert shown(request) == ["sha2", "sha1"]
    put = prompt(
        template="{options}|{question}", option_template="({letter}) {option}",
        option_separator=", ", options_template="[{options}]",
    )  # fmt: skip
    (request,) = build_requests([sample(options=("x", "y"))], put, tmp_path)
    assert request.turns == ("[(A) x, (B) y]|What is it?",)
    assert letters(28)[25:] == ["Z", "AA", "AB"]


@pytest.mark.parametrize(
    ("rule", "pages"),
    [
        (PageRule(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (PageRule("first", 3), [1, 2, 3]),
        (PageRule("even", 4), [1, 4, 7, 10]),
        (PageRule("even", 1), [1]),
        (PageRule("even", 10), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (PageRule("first", 40), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ],
)
def test_of_too_many_pages_the_datasets_rule_chooses(tmp_path: Path, rule, pages) -> None:
    (request,) = build_requests([sample(images=images(10))], prompt(), tmp_path, rule)
    assert shown(request) == [f"sha{page}" for page in pages]
    assert request.left_out == 10 - len(pages)
    assert request_from_json(json.loads(json.dumps(request_to_json(request)))) == request


def test_a_request_says_which_pages_may_go_where_it_is_too_long(tmp_path: Path) -> None:
    asked = [sample(images=images(3)), sample(images=images(1)), sample()]
    made = {
        rule.choice: [request.pages for request in build_requests(asked, prompt(), tmp_path, rule)]
        for rule in (PageRule(), PageRule("first", 5), PageRule("even", 2))
    }
    assert made == {"refuse": ["", "", ""], "first": ["first", "", ""], "even": ["even", "", ""]}


def test_a_model_takes_no_more_images_than_its_file_says() -> None:
    from tests.doubles.cells import cell

    def rule(dataset: dict[str, Any], most: int) -> PageRule:
        asked = cell(dataset=dataset, model={"max_images": most})
        return PageRule.of(asked.dataset, asked.model)

    assert rule({}, 2) == PageRule()
    assert rule({"pages": "first"}, 2) == PageRule("first", 2)
    assert rule({"pages": "even", "max_pages": 8}, 9) == PageRule("even", 8)
    assert rule({"pages": "even", "max_pages": 8}, 5) == PageRule("even", 5)


def test_a_request_of_before_there_were_places_is_read_as_it_was() -> None:
    old = {"index": 3, "turns": ["Q?"], "system": "", "images": [
        {"sha256": "a", "path": "/a.png", "width": 1, "height": 2}]}  # fmt: skip
    request = request_from_json(old)
    assert request.layout == ((None, "Q?"),) and request_to_json(request) == old | {
        "images": ({"sha256": "a", "path": "/a.png", "width": 1, "height": 2},),
        "turns": ("Q?",),
    }
