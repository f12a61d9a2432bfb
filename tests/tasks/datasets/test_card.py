"""The card and the contact sheet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from pixtrack.configs.loading import load_dataset, load_prompt, names
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, PromptConfig
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.card import card
from pixtrack.tasks.datasets.contact_sheet import choose, write_contact_sheet
from pixtrack.tasks.scoring import METRICS
from pixtrack.tasks.scoring.postprocess import apply
from tests.doubles.hub_datasets import png
from tests.tasks.datasets.conftest import Folder, row

SEVEN = {
    "chartqapro_test": (1948, 1341),
    "chartqa_test_human": (1250, 625),
    "chartqa_test_augmented": (1250, 987),
    "docvqa_val": (5349, 1286),
    "infographicvqa_val": (2801, 500),
    "textvqa_val": (5000, 3166),
    "vqav2_restval": (5077, 1000),
}


@pytest.mark.parametrize("name", sorted(SEVEN))
def test_each_of_the_seven_is_pinned_and_complete(name: str) -> None:
    config = load_dataset(name)
    source = config.source
    assert source.kind == "hub"
    assert len(source.revision) == 40
    assert len(source.annotations_sha256) == 64
    assert (config.questions, config.images) == SEVEN[name]
    assert all(metric in METRICS for metric in config.metrics)
    assert config.prompt_reason
    assert all(score.by and score.model for score in config.published_scores)
    for prompt in ("setup_guide", "mistral_evals", "lmms_eval"):
        variant = load_prompt(prompt).for_dataset(name)
        assert "{question}" in variant.template
        apply(variant.postprocess, "Some answer")


def test_the_original_scripts_other_name_still_works() -> None:
    assert load_dataset("vqav2_val").name == "vqav2_restval"


def test_published_limits_stand_in_the_prompts() -> None:
    limits = {
        prompt: {name: load_prompt(prompt).for_dataset(name).max_new_tokens for name in SEVEN}
        for prompt in ("setup_guide", "mistral_evals", "lmms_eval")
    }
    assert limits["setup_guide"]["docvqa_val"] == 100
    assert limits["setup_guide"]["textvqa_val"] == limits["setup_guide"]["vqav2_restval"] == 10
    assert limits["mistral_evals"]["chartqa_test_human"] == 2048
    assert limits["mistral_evals"]["docvqa_val"] == limits["mistral_evals"]["vqav2_restval"] == 10
    assert limits["lmms_eval"]["chartqa_test_augmented"] == 16
    assert limits["lmms_eval"]["docvqa_val"] == limits["lmms_eval"]["infographicvqa_val"] == 32
    assert limits["lmms_eval"]["chartqapro_test"] == 128


def test_every_configured_dataset_has_a_card_before_it_is_prepared(home: Home) -> None:
    for name in names(DatasetConfig):
        view = card(load_dataset(name), home)
        assert view["prepared"] is None
        assert {prompt["name"] for prompt in view["prompts"]} == set(names(PromptConfig))
        assert [p["name"] for p in view["prompts"] if p["default"]] == [view["prompt"]]
        json.dumps(view)


def test_a_prepared_datasets_card_counts_what_is_in_it(folder: Folder, home: Home) -> None:
    (folder.images / "big.png").write_bytes(png(9, (80, 50)))
    folder.write(
        [
            *(row(number, question_type=["a", "b"] if number else "a") for number in range(5)),
            row(5, image="big.png", answer=["x", "y"]),
            row(6, image="gone.png"),
        ]
    )
    config = folder.config()
    prepare(config, home)
    ready = card(config, home)["prepared"]
    assert (ready["samples"], ready["failed"], ready["images"]) == (7, 1, 5)
    assert ready["failures"] == [
        "row 6: qa.jsonl line 7: image 'gone.png': no such file in the image folder"
    ]
    assert ready["questions_an_image"] == {"least": 1, "median": 1, "mean": 1.2, "most": 2}
    assert ready["questions_on_a_shared_image"] == 2
    assert (ready["smallest_image"], ready["largest_image"]) == ([40, 30], [80, 50])
    assert ready["question_types"] == {"a": 5, "b": 4}
    assert ready["golds_a_question"]["most"] == 2


def test_a_contact_sheet_shows_samples_failed_ones_too(
    folder: Folder, home: Home, tmp_path: Path
) -> None:
    long = "Pneumonoultramicroscopicsilicovolcanoconiosis" * 4
    folder.write(
        [row(0, question=long), row(1, image="gone.png"), row(2, answer=["日本語", "Ünïcode"])]
    )
    ready = prepare(folder.config(), home)
    out = tmp_path / "deep" / "sheet.png"
    assert write_contact_sheet(ready, 9, out) == [0, 1, 2]
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width == 2 * 460
        colours = {pixel for _, pixel in sheet.convert("RGB").getcolors(1 << 24) or []}
    assert (0xB0, 0x00, 0x20) in colours  # the failed sample's reason, in red
    assert Image.open(home.images / ready.samples[0].image_path).getpixel((0, 0)) in colours


def test_the_samples_of_a_sheet_are_spread_and_show_no_image_twice(
    folder: Folder, home: Home
) -> None:
    folder.write([row(number) for number in range(100)])
    ready = prepare(folder.config(), home)
    four = choose(ready.samples, 4)
    assert len({sample.image for sample in four}) == 4
    ten = [sample.index for sample in choose(ready.samples, 10)]
    assert ten == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    assert len(choose(ready.samples, 1000)) == 100
