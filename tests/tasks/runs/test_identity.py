"""What identifies a run: everything that can change an answer, and old runs as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixtrack.tasks.records import PreparedDataset, Sample, SampleImage, Turn
from pixtrack.tasks.runs.directory import fingerprint, run_name
from pixtrack.tasks.runs.opening import Cell, identity_of
from tests.doubles.cells import cell

BEFORE = "46d26f523426eee0a674624bea1183ff8c41d40aa32e0bb5755f3d5f43da67e7"
"""Of the cell below on samples of one image, as the code before samples had several said."""

ENGINE = {
    "name": "vllm",
    "version": "0.24.0",
    "platform": "cpu",
    "options": {"dtype": "bfloat16"},
}


def prepared(images: int = 1, digest: str = "d" * 64, **sample: Any) -> PreparedDataset:
    pages = tuple(SampleImage(f"sha{n}", f"{n}.png", 10, 10) for n in range(images))
    samples = (Sample(0, "q", "What?", ("a",), pages, **sample),)
    return PreparedDataset("papers", Path(), Path(), digest, samples, {})


def print_of(
    asked: Cell, ready: PreparedDataset, longest: int | None = 4096, **changes: Any
) -> str:
    facts: dict[str, Any] = {"model": {"files": "f" * 64}, "engine": ENGINE} | changes
    return fingerprint(identity_of(asked, facts["model"], facts["engine"], ready, longest))


ONE_PAGE = {"pages": "first", "max_pages": 1}
"""Changes nothing where there is one page or none."""


@pytest.mark.parametrize("longest", [None, 4096])
@pytest.mark.parametrize(
    ("images", "dataset"),
    [(images, dataset) for images in (0, 1, 5) for dataset in ({}, {"cluster": "document"})]
    + [(images, ONE_PAGE) for images in (0, 1)],
)
def test_runs_of_before_keep_their_fingerprint(
    longest: int | None, images: int, dataset: dict[str, Any]
) -> None:
    assert print_of(cell(dataset=dataset), prepared(images), longest) == BEFORE


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": {"system": "Be brief."}},
        {"prompt": {"template": "{question}"}},
        {"prompt": {"history_template": "Before: {question}"}},
        {"prompt": {"context_template": "Given {context}"}},
        {"prompt": {"max_new_tokens": 9}},
        {"prompt": {"stop": ("\n\n",)}},
    ],
)
def test_what_changes_a_prompt_or_its_answer_is_another_run(changed: dict[str, Any]) -> None:
    assert print_of(cell(**changed), prepared()) != BEFORE


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": {"postprocess": ("strip",)}},
        {"prompt": {"option_template": "({letter}) {option}"}},
        {"dataset": {"metrics": ("anls", "exact_match")}},
        {"dataset": {"name": "other"}},
        {"limit": 5},
        {"model": {"max_images": 9}},
    ],
)
def test_what_changes_no_answer_is_the_same_run(changed: dict[str, Any]) -> None:
    assert print_of(cell(**changed), prepared()) == BEFORE


@pytest.mark.parametrize(
    "changed",
    [{"model": {"files": "0"}}, {"engine": {**ENGINE, "version": "0.32.0"}}],
)
def test_another_model_or_engine_is_another_run(changed: dict[str, Any]) -> None:
    assert print_of(cell(), prepared(), **changed) != BEFORE


def test_another_version_of_the_dataset_is_another_run() -> None:
    assert print_of(cell(), prepared(digest="e" * 64)) != BEFORE


def test_how_options_are_put_counts_where_there_are_any() -> None:
    ready = prepared(options=("red", "blue"))
    asked = [
        cell(),
        cell(prompt={"option_template": "({letter}) {option}"}),
        cell(prompt={"option_separator": ", "}),
        cell(prompt={"options_template": "[{options}]"}),
    ]
    assert len({print_of(one, ready) for one in asked}) == 4


def test_which_pages_are_shown_counts_where_they_are_chosen() -> None:
    rule = {"pages": "first", "max_pages": 3}
    several = [
        print_of(cell(dataset=dataset, model={"max_images": most}), prepared(9), longest)
        for dataset, most, longest in (
            ({}, 8, 4096),
            (rule, 8, 4096),
            (rule | {"pages": "even"}, 8, 4096),
            (rule | {"max_pages": 4}, 8, 4096),
            (rule, 2, 4096),
            (rule, 8, 8192),
        )
    ]
    assert len(set(several)) == len(several)
    # The model's own limit counts where it is the lower one.
    assert several[1] == print_of(cell(dataset=rule, model={"max_images": 7}), prepared(9))


def test_the_samples_own_error_or_gold_is_not_the_runs_identity() -> None:
    ready = prepared()
    mended = replace(ready, samples=(replace(ready.samples[0], answers=("b",)),))
    assert print_of(cell(), mended) == BEFORE


def test_every_part_of_a_fingerprint_has_the_name_that_it_always_had() -> None:
    """A part under another name would make all runs new ones, though nothing else notices."""
    ready = prepared(2, options=("red", "blue"))
    shot = Sample(
        7, "s", "Whose é?", ("hers", "his"), (SampleImage("shaX", "x.png", 1, 1),),
        history=(Turn("First?", "one"),), context="c", options=("p", "q"),
    )  # fmt: skip
    asked = cell(
        dataset={"pages": "first", "max_pages": 1}, prompt={"system": "Sé exact"}, shots=(shot,)
    )
    identity = identity_of(asked, {"files": "f"}, ENGINE, ready, 4096)
    assert identity == {
        "model": {"files": "f"},
        "engine": ENGINE,
        "prompt": {
            "system": "Sé exact",
            "template": "{context}{question} Briefly.",
            "history_template": "{question}",
            "context_template": "{context}\n",
            "option_template": "{letter}. {option}",
            "option_separator": "\n",
            "options_template": "\n{options}",
            "shots": [
                {
                    "images": ["shaX"],
                    "turns": [["First?", "one"]],
                    "context": "c",
                    "question": "Whose é?",
                    "options": ["p", "q"],
                    "answer": "hers",
                }
            ],
        },
        "sampling": {
            "max_tokens": 8, "temperature": 0.0, "top_p": 1.0, "seed": 0, "stop": ["\n"],
        },
        "dataset": "d" * 64,
        "pages": {"choice": "first", "most": 1, "max_model_len": 4096},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "ready", "known"),
    [
        (cell(), prepared(options=("red", "blue")),
         "2e5b98b1a3b97d591d3ae5c1cfe2a5374f6815ab3e5b6fa3eebd417c41eb3947"),
        (cell(dataset={"pages": "first", "max_pages": 1}), prepared(2),
         "3fb0c0b8c3f466367e75e12d81d2529b23da7d2d1f51c64935868dc33621b944"),
        (cell(prompt={"system": "Sé exact"}), prepared(),
         "006de83f28e4a11416a28f72cd35356479a3aa3e2e068418386740b6f20560be"),
    ],
)  # fmt: skip
def test_runs_with_options_pages_and_other_letters_keep_their_fingerprint(
    asked: Cell, ready: PreparedDataset, known: str
) -> None:
    assert print_of(asked, ready) == known


def test_worked_examples_take_their_images_from_the_pages_that_are_shown() -> None:
    rule = {"pages": "even"}
    shot = Sample(7, "s", "q", ("a",), (SampleImage("shaX", "x.png", 1, 1),) * 3)
    most = [
        identity_of(cell(dataset=rule, model={"max_images": 8}, shots=shots), {}, ENGINE,
                    prepared(9))["pages"]["most"]
        for shots in ((), (shot,))
    ]  # fmt: skip
    assert most == [8, 5]


def test_a_runs_folder_is_named_by_model_prompt_limit_and_fingerprint() -> None:
    assert run_name("m", "p", "0123456789abcdef", None) == "m--p--0123456789ab"
    assert run_name("m", "p", "0123456789abcdef", 20) == "m--p--first20--0123456789ab"
