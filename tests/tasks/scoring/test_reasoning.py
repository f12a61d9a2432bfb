"""The answer of a model that thinks aloud: found behind the thinking, or said not to be there."""

from __future__ import annotations

import pytest

from pixtrack.tasks.scoring import postprocess
from pixtrack.tasks.scoring.reasoning import NO_ANSWER, reasoning, state


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>Is it A? No.</think>\n\nB", "B"),
        ("<thinking>A</thinking>B", "B"),
        ("<THINK>A</THINK>\nB\n", "B"),
        ("[THINK]A[/THINK]Paris", "Paris"),
        ("◁think▷A◁/think▷Paris", "Paris"),
        ("the prompt opened the thinking: A</think>B", "B"),
        ("<think>A</think>no: <think>C</think>B", "B"),
        ("<think>Final Answer: A</think>Final Answer: B", "B"),
        (r"<think>\boxed{A}</think>B", "B"),
        ("<think>x</think><answer> B </answer>", "B"),
        ("<answer>B", "B"),
        (r"<answer>so it is \boxed{B}</answer>", "B"),
        ("Final Answer: <answer> B", "B"),
        (r"So the sum is \boxed{42}.", "42"),
        (r"\boxed{1} and, no, \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\text{B}}", "B"),
        (r"\fbox{$12$}", "12"),
        (r"\boxed{7} and then \boxed{8", "7"),
        ("<|begin_of_box|>B<|end_of_box|>", "B"),
        ("**Final Answer:** 42 km\nThat is all.", "42 km"),
        ("**Final Answer**: **42**", "42"),
        ("### Final Answer\n\n42", "42"),
        ("Therefore, the final answer is **(C)**", "(C)"),
        ("Final Answer: 1\nNo. Final Answer: 2", "2"),
        (r"So far \boxed{3}. Final Answer: 4", "4"),
        ("Let me think.\nAnswer: 42", "42"),
        ("The chart is blue.\nIt shows 42.\n\n 42 \n", "42"),
        ("42", "42"),
        ("So it is:\n**42**", "42"),
        ("So it is:\n$42$", "42"),
        ("So it is:\n```\n42\n```\n", "42"),
        ("İİİ Final Answer: 42", "42"),
        ("<think>A</think>Final Answer: B\n<think>but", "B"),
    ],
)
def test_what_precedes_the_answer_is_taken_away(text: str, expected: str) -> None:
    assert reasoning(text) == expected
    assert state(text, cut_off=False) == ""


@pytest.mark.parametrize(
    "text",
    [
        "<think>Is it A? It may be",
        "<think>",
        "[THINK]hm",
        "<think>A</think>no: <think>C",
        "<think>A</think> \n",
        "reasoning. Final Answer:",
        "<answer></answer>",
        r"\boxed{}",
        "",
    ],
)
def test_an_output_that_ends_before_its_answer_says_so(text: str) -> None:
    assert reasoning(text) == ""
    assert state(text, cut_off=False) == NO_ANSWER


def test_an_output_without_tags_that_was_cut_off_is_still_thinking() -> None:
    text = "First, the image shows a chart.\nThe bar is"
    assert state(text, cut_off=True) == NO_ANSWER
    assert state(text, cut_off=False) == ""
    assert state("Final Answer: the Eiffel", cut_off=True) == ""


def test_a_step_tells_its_state_and_apply_the_prediction_alone() -> None:
    reading = postprocess.read(["reasoning", "lower"], "<think>A")
    assert reading.prediction == ""
    assert reading.states == (("reasoning", NO_ANSWER),)
    assert postprocess.read(["reasoning"], "B").states == ()
    assert postprocess.read(["final_answer"], "B").states == (
        ("final_answer", postprocess.NOT_GIVEN),
    )
    assert postprocess.apply(["reasoning", "lower"], "<think>A</think>B") == "b"
