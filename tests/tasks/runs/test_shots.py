"""Few-shot prompts: which examples are shown, how a request carries them, and what they change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, load_model, load_prompt, read_yaml
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import PromptConfig, Settings, Shots
from pixtrack.tasks.cells import resolve_cell
from pixtrack.tasks.datasets.shots import choose, known_shots, shots_of
from pixtrack.tasks.inference.prompts.mistral import MistralPrompts, pixtral_tokenizer_file
from pixtrack.tasks.records import (
    PreparedDataset,
    Request,
    Sample,
    SampleImage,
    request_from_json,
    request_to_json,
)
from pixtrack.tasks.runs.directory import fingerprint
from pixtrack.tasks.runs.image_groups import group_by_image
from pixtrack.tasks.runs.opening import Cell, identity_of
from pixtrack.tasks.runs.requests import PageRule, build_requests, check_shots


def image(name: str) -> SampleImage:
    return SampleImage(name, f"{name}.png", 64, 32)


def sample(index: int, *images: str, **changes: Any) -> Sample:
    fields: dict[str, Any] = {
        "question_id": "",
        "question": f"Q{index}?",
        "answers": (f"A{index}",),
    }
    return Sample(index, images=tuple(map(image, images)), **{**fields, **changes})


def dataset(name: str, *samples: Sample) -> PreparedDataset:
    return PreparedDataset(name, Path(), Path("/store"), name, samples, {})


ASKED = dataset("asked", sample(0, "x"), sample(1, "x"), sample(2, "y"))
TRAIN = dataset("train", *(sample(i, f"t{i}") for i in range(8)))
PROMPT = PromptConfig(
    name="few", title="F", template="{question} Briefly.", system="S", max_new_tokens=5
)


def test_the_same_examples_are_drawn_at_any_time_and_others_by_another_seed() -> None:
    shots = Shots(dataset="train", count=3)
    first = choose(PROMPT, shots, ASKED, TRAIN)
    assert len(first) == 3 and first == choose(PROMPT, shots, ASKED, TRAIN)
    drawn = {
        tuple(
            one.index
            for one in choose(PROMPT, Shots(dataset="train", count=3, seed=s), ASKED, TRAIN)
        )
        for s in range(10)
    }
    assert len(drawn) > 5


def test_what_is_asked_is_never_an_example() -> None:
    leaky = dataset(
        "train", sample(0, "x"), sample(1, "t1", "y"), sample(2, "t2"), sample(3, "t3", answers=()),
        sample(4, "t4", error="bad image"), sample(5),
    )  # fmt: skip
    found = choose(PROMPT, Shots(dataset="train", count=2), ASKED, leaky)
    assert {one.index for one in found} == {2, 5}
    text = dataset("asked", sample(5))
    assert 5 not in {one.index for one in choose(PROMPT, Shots(dataset="t", count=2), text, TRAIN)}
    with pytest.raises(
        UserError, match=r"shots: 2 usable examples in train for asked, 3 are asked"
    ):
        choose(PROMPT, Shots(dataset="train", count=3), ASKED, leaky)
    with pytest.raises(UserError, match=r"mine\.jsonl: row 1: shows an image that is asked about"):
        choose(PROMPT, Shots(qa_file="mine.jsonl"), ASKED, leaky)
    with pytest.raises(UserError, match=r"sample is the dataset that is asked"):
        few = {"title": "f", "template": "{question}", "max_new_tokens": 3}
        few["shots"] = {"dataset": "sample", "count": 1}
        _resolve(few)


def _resolve(prompt: dict[str, Any]) -> None:
    import os

    folder = Path(os.environ["PIXTRACK_CONFIGS"]) / "prompts"
    folder.mkdir(exist_ok=True)
    (folder / "few.yaml").write_text(json.dumps(prompt))
    resolve_cell("sample", load_model("pixtral-nano"), "few")


@pytest.fixture(autouse=True)
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(tmp_path))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"count": 2}, "name either a dataset or a qa_file"),
        ({"dataset": "a", "qa_file": "b", "count": 2}, "name either a dataset or a qa_file"),
        ({"dataset": "a"}, "say how many examples"),
        ({"dataset": "a", "count": 0}, "greater than or equal to 1"),
    ],
)
def test_shots_that_say_too_little_or_too_much_are_refused(
    tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    file = tmp_path / "few.yaml"
    prompt = {"title": "f", "template": "{question}", "max_new_tokens": 3, "shots": keys}
    file.write_text(json.dumps(prompt))
    with pytest.raises(UserError, match=said):
        read_yaml(file, PromptConfig, name="few")


def test_examples_of_a_file_are_prepared_with_their_images_in_the_files_order(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    for name in "ab":
        Image.new("RGB", (40, 30), "red" if name == "a" else "blue").save(tmp_path / f"{name}.png")
    rows = [{"image": f"{n}.png", "question": f"{n}?", "answer": n.upper()} for n in "ba"]
    (tmp_path / "shots.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompt = PROMPT.model_copy(update={"shots": Shots(qa_file="shots.jsonl")}).read_from(tmp_path)
    assert known_shots(prompt, ASKED, home) is None
    found = shots_of(prompt, ASKED, home)
    assert [one.question for one in found] == ["b?", "a?"]
    assert known_shots(prompt, ASKED, home) == found
    assert all((home.images / one.images[0].path).is_file() for one in found)
    assert known_shots(PROMPT, ASKED, home) == ()


SHOTS = (sample(10, "s"), sample(11), sample(12, "u", question="See <image 1>: what?"))


def requests(shots: tuple[Sample, ...] = SHOTS) -> list[Request]:
    return build_requests(ASKED.samples, PROMPT, Path("/store"), None, shots)


def test_a_request_begins_with_the_examples_and_their_answers() -> None:
    request = requests()[2]
    assert request.turns == (
        "Q10? Briefly.", "A10", "Q11? Briefly.", "A11", "See <image 1>: what? Briefly.", "A12",
        "Q2? Briefly.",
    )  # fmt: skip
    assert [one.sha256 for one in request.images] == ["s", "u", "y"]
    assert request.layout == (
        (None, "Q10? Briefly."), ("A10",), ("Q11? Briefly.",), ("A11",),
        ("See ", None, ": what? Briefly."), ("A12",), (None, "Q2? Briefly."),
    )  # fmt: skip
    assert (request.shots, request.shot_images) == (6, 2)
    assert request_from_json(json.loads(json.dumps(request_to_json(request)))) == request


def test_requests_are_grouped_by_what_is_asked_not_by_the_examples() -> None:
    groups = [[one.index for one in group] for group in group_by_image(requests())]
    assert sorted(groups) == [[0, 1], [2]]
    assert sorted(map(len, group_by_image(requests(())))) == [1, 2]


def test_a_mistral_prompt_holds_the_examples_images_in_their_turns() -> None:
    builder = MistralPrompts(Path(), 3, pixtral_tokenizer_file())
    first, second, other = (builder.draft(request) for request in requests())
    assert first.token_ids is not None and second.token_ids is not None
    assert other.token_ids is not None
    assert [place for place, _ in first.places[:2]] == [place for place, _ in other.places[:2]]
    until = first.places[1][0] + 1
    assert first.token_ids[:until] == other.token_ids[:until]
    text = builder.text(first.token_ids)
    assert text.count("[INST]") == 4 and text.count("[IMG_END]") == 3 and "A12</s>" in text


def test_a_model_that_takes_too_few_images_is_named() -> None:
    model = load_model("pixtral-nano").model_copy(update={"max_images": 2})
    with pytest.raises(
        UserError, match=r"3 worked examples show 2 images .* takes 2 in one prompt"
    ):
        check_shots(SHOTS, ASKED.samples, model, PageRule())
    check_shots(SHOTS[:2], ASKED.samples, model, PageRule())
    config = load_dataset("sample").model_copy(update={"pages": "first", "max_pages": 9})
    model = model.model_copy(update={"max_images": 5})
    assert PageRule.of(config, model, SHOTS).most == 3


@pytest.mark.parametrize("pages", [PageRule(), PageRule("even", 2)])
def test_a_document_of_more_pages_than_the_model_takes_needs_no_room_for_examples_it_has_not(
    pages: PageRule,
) -> None:
    """Such a question is refused by itself, or shows the pages that its dataset chooses."""
    model = load_model("pixtral-nano").model_copy(update={"max_images": 2})
    sample = ASKED.samples[0]
    document = replace(sample, images=sample.images * 15)
    check_shots((), [document], model, pages)
    if pages.choice == "refuse":
        with pytest.raises(UserError, match="a question shows 15 or more"):
            check_shots(SHOTS[:1], [document], model, pages)
    else:
        check_shots(SHOTS[:1], [document], model, pages)


def print_of(shots: tuple[Sample, ...] = (), **settings: Any) -> str:
    given = Settings(**settings)
    prompt = given.of_prompt(load_prompt("plain"))
    cell = Cell(
        load_model("pixtral-nano"), load_dataset("sample"), prompt, settings=given, shots=shots
    )
    return fingerprint(identity_of(cell, {"files": "m"}, {"name": "e"}, ASKED))


def test_examples_are_part_of_the_fingerprint_and_their_absence_is_not() -> None:
    assert "shots" not in json.dumps(requests(())[0].system)
    prints = [print_of(), print_of(SHOTS), print_of(SHOTS[:2]), print_of(SHOTS[::-1])]
    assert len(set(prints)) == 4


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({}, True),
        ({"temperature": 0.0}, True),
        ({"seed": 7}, True),  # nothing is drawn
        ({"temperature": 0.7}, False),
        ({"max_tokens": 3}, False),
        ({"system": "Be brief."}, False),
    ],
)
def test_settings_of_a_command_count_where_they_change_an_answer(
    settings: dict[str, Any], same: bool
) -> None:
    assert (print_of(**settings) == print_of()) is same


def test_the_seed_counts_where_something_is_drawn() -> None:
    assert print_of(temperature=0.7, seed=1) != print_of(temperature=0.7)
    cell = resolve_cell(
        "sample",
        load_model("pixtral-nano"),
        None,
        None,
        Settings(temperature=0.7, seed=1, system=""),
    )
    assert (cell.sampling.temperature, cell.sampling.seed, cell.prompt.system) == (0.7, 1, "")
