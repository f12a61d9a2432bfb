"""Samples and a prompt to requests."""

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import PromptConfig
from pixtrack.tasks.records import Sample, Turn
from pixtrack.tasks.runs.requests import build_requests


def sample(index=0, **changes):
    fields = {
        "question_id": "q",
        "question": "What is it?",
        "answers": ("x",),
        "image": "abc",
        "image_path": "ab/abc.png",
        "width": 10,
        "height": 20,
    }
    return Sample(index=index, **{**fields, **changes})


def prompt(**changes):
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


def test_the_question_stands_in_the_template_and_the_image_has_its_absolute_path(tmp_path):
    (request,) = build_requests([sample(3)], prompt(), tmp_path)
    assert request.index == 3
    assert request.turns == ("What is it? Briefly.",)
    assert request.system == "Be exact."
    (image,) = request.images
    assert image.path == str(tmp_path.resolve() / "ab/abc.png")
    assert (image.sha256, image.width, image.height) == ("abc", 10, 20)


def test_a_conversation_keeps_its_earlier_turns_with_their_gold_answers(tmp_path):
    history = (Turn("First?", "one"), Turn("Second?", "two"))
    (request,) = build_requests([sample(history=history)], prompt(), tmp_path)
    assert request.turns == (
        "First? (earlier)",
        "one",
        "Second? (earlier)",
        "two",
        "What is it? Briefly.",
    )


def test_a_context_is_put_where_the_template_says_and_nothing_where_there_is_none(tmp_path):
    with_context, without = build_requests(
        [sample(context="Sales rose."), sample(1)], prompt(), tmp_path
    )
    assert with_context.turns == ("Context: Sales rose.\nWhat is it? Briefly.",)
    assert without.turns == ("What is it? Briefly.",)


def test_braces_in_a_question_stay_as_they_are(tmp_path):
    odd = sample(question="Is {context} or {question} or {x} there?", context="{question}")
    (request,) = build_requests([odd], prompt(), tmp_path)
    assert request.turns == (
        "Context: {question}\nIs {context} or {question} or {x} there? Briefly.",
    )


def test_a_sample_with_an_error_is_not_asked(tmp_path):
    requests = build_requests(
        [sample(), sample(1, error="bad image"), sample(2)], prompt(), tmp_path
    )
    assert [request.index for request in requests] == [0, 2]


def test_a_template_without_the_question_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"'p': template: has no \{question\}"):
        build_requests([sample()], prompt(template="What?"), tmp_path)
