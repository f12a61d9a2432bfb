from __future__ import annotations

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, load_prompt, names
from pixtrack.configs.schema import DatasetConfig, PromptConfig
from pixtrack.tasks.scoring import METRICS, postprocess


@pytest.mark.parametrize(
    ("step", "text", "expected"),
    [
        ("strip", " a b\n", "a b"),
        ("first_line", "\n  1975 \nbecause the chart says so", "1975"),
        ("first_line", "1975\r\nbecause", "1975"),
        ("first_line", " \n\n", ""),
        ("last_line", "Let me think.\n\n 42 \n\n", "42"),
        ("final_answer", "The bar is tall.\nFinal Answer: 42", "42"),
        ("final_answer", "**Final Answer**: **42**\nDone.", "42"),
        ("final_answer", "Answer: 1\nNo, answer: 2", "2"),
        ("final_answer", "FINAL ANSWER:\n\n  42 km\n", "42 km"),
        ("final_answer", "The answer is 42", ""),
        ("without_final_period", "U.S. ", "U.S"),
        ("without_quotes", ' "a" ', "a"),
        ("without_quotes", "\"a'", "\"a'"),
        ("without_quotes", '"', '"'),
        ("without_preamble", "The answer is: 42", "42"),
        ("without_preamble", "Answer: 42", "42"),
        ("without_preamble", "answered", "answered"),
        ("lower", "ÄB", "äb"),
    ],
)
def test_a_step_reads_the_answer_as_its_docstring_says(step: str, text: str, expected: str) -> None:
    assert postprocess.apply([step], text) == expected


def test_steps_are_applied_in_order() -> None:
    text = "Final Answer: 'Yes.'"
    assert postprocess.apply(["final_answer", "without_quotes", "lower"], text) == "yes."


def test_no_steps_leave_the_output_as_it_came() -> None:
    assert postprocess.apply([], " as it\ncame ") == " as it\ncame "


def test_an_unknown_step_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"'frist_line'.*Did you mean 'first_line'"):
        postprocess.apply(["frist_line"], "x")


def test_every_configured_prompt_names_steps_that_exist() -> None:
    for prompt in map(load_prompt, names(PromptConfig)):
        for dataset in ("", *prompt.datasets):
            postprocess.apply(prompt.for_dataset(dataset).postprocess, "x")


def test_every_configured_dataset_names_metrics_that_can_score_it() -> None:
    for dataset in map(load_dataset, names(DatasetConfig)):
        for name in dataset.metrics:
            assert callable(METRICS[name].for_dataset(dataset))
