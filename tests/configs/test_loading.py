"""Configuration errors name the file, the line and the key; unknown names offer the known ones."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import (
    dataset_names,
    load_dataset,
    load_group,
    load_model,
    load_prompt,
    load_study,
    names,
    read_yaml,
)
from pixtrack.configs.schema import (
    DatasetConfig,
    DatasetGroup,
    ModelConfig,
    PromptConfig,
    StudyConfig,
)

MODEL = """\
title: Tiny
source:
  kind: local
  path: somewhere
format: mistral
family: pixtral
parameters_billions: 0.01
licence: Apache-2.0
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def test_every_shipped_model_dataset_and_prompt_is_valid() -> None:
    for name in names(ModelConfig):
        assert load_model(name).name == name
    for name in names(DatasetConfig):
        dataset = load_dataset(name)
        assert load_prompt(dataset.prompt).for_dataset(name).max_new_tokens > 0
    assert names(PromptConfig)


def test_every_shipped_study_names_known_things() -> None:
    root = Path(__file__).resolve().parents[2]
    for path in sorted((root / "experiments").glob("*.yaml")):
        study = load_study(path)
        for model in study.models:
            load_model(model)
        for dataset in study.datasets:
            for member in dataset_names(dataset):
                load_dataset(member)
        for prompt in study.prompts:
            assert prompt == "default" or load_prompt(prompt)


def test_every_shipped_group_names_datasets_by_their_own_names() -> None:
    assert {"text_rich", "pixtral_card"} <= set(names(DatasetGroup))
    assert not set(names(DatasetGroup)) & set(names(DatasetConfig))
    for name in names(DatasetGroup):
        members = load_group(name).datasets
        assert dataset_names(name) == members
        assert len(set(members)) == len(members)
        assert [load_dataset(member).name for member in members] == list(members)


def test_a_group_where_one_dataset_is_meant_is_said_with_its_members() -> None:
    with pytest.raises(
        UserError, match=r"text_rich is a group of datasets \(chartqapro_test, .*one"
    ):
        load_dataset("text_rich")
    with pytest.raises(UserError, match=r"Did you mean 'text_rich'"):
        load_dataset("text-rich")
    assert dataset_names("docvqa_val") == ("docvqa_val",)


def test_an_unknown_key_names_file_line_and_the_nearest_key(tmp_path: Path) -> None:
    path = write(tmp_path, MODEL + "licens: x\n")
    with pytest.raises(UserError, match=r"tiny\.yaml:9: licens: .*Did you mean 'licence'"):
        read_yaml(path, ModelConfig, name="tiny")


def test_an_unknown_nested_key_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, MODEL.replace("  path: somewhere\n", "  path: x\n  revison: y\n"))
    with pytest.raises(UserError, match=r"tiny\.yaml:5: source\.revison: unknown key"):
        read_yaml(path, ModelConfig, name="tiny")


def test_a_wrong_value_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, MODEL.replace("0.01", "many"))
    with pytest.raises(UserError, match=r"tiny\.yaml:7: parameters_billions: .*number"):
        read_yaml(path, ModelConfig, name="tiny")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, MODEL.replace("licence: Apache-2.0\n", ""))
    with pytest.raises(
        UserError,
        match=r"required and missing: licence \(as its publisher names it: Apache-2\.0\)$",
    ):
        read_yaml(path, ModelConfig, name="tiny")


@pytest.mark.parametrize("model", [ModelConfig, DatasetConfig, PromptConfig, StudyConfig])
def test_every_missing_key_is_named_with_its_meaning(
    tmp_path: Path, model: type[BaseModel]
) -> None:
    path = write(tmp_path, "notes: nothing\n" if model is not StudyConfig else "question: why\n")
    with pytest.raises(UserError, match="these keys are required and missing: ") as caught:
        read_yaml(path, model, name="tiny")
    required = {
        name: field.description
        for name, field in model.model_fields.items()
        if field.is_required() and name != "name"
    }
    assert len(required) > 2
    for name, meaning in required.items():
        assert f"{name} ({meaning})" in str(caught.value), name


def test_a_missing_key_of_a_part_is_named_by_its_path(tmp_path: Path) -> None:
    path = write(tmp_path, MODEL.replace("  path: somewhere\n", ""))
    with pytest.raises(UserError, match=r":\d+: .*missing: source\.path \(the directory"):
        read_yaml(path, ModelConfig, name="tiny")
    path = write(tmp_path, MODEL.replace("  kind: local\n", ""))
    with pytest.raises(UserError, match=r"source: kind is missing: use one of hub, local"):
        read_yaml(path, ModelConfig, name="tiny")
    path = write(tmp_path, MODEL + "recipes:\n- cards: MR\n  count: 1\n")
    with pytest.raises(
        UserError,
        match=r"missing: recipes\.0\.engine \(options of .*\); recipes\.0\.source \(who published it",
    ):
        read_yaml(path, ModelConfig, name="tiny")


@pytest.mark.parametrize("text", ["title: [", "- a\n- b\n", "", "title: \x00"])
def test_what_is_not_a_yaml_mapping_is_one_line_with_the_file(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        read_yaml(path, ModelConfig, name="tiny")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such file"):
        load_study(tmp_path / "nowhere.yaml")


def test_an_unknown_dataset_suggests_the_nearest_and_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"unknown dataset 'sampel'\. Did you mean 'sample'\?"):
        load_dataset("sampel")


def test_a_name_cannot_leave_the_folder() -> None:
    with pytest.raises(UserError, match="unknown model"):
        load_model("../models/pixtral-random")


def test_a_dataset_is_found_by_its_other_name() -> None:
    assert load_dataset("vqav2_val").name == "vqav2_restval"


def test_a_prompt_applies_what_a_dataset_changes() -> None:
    prompt = PromptConfig(
        name="p",
        title="p",
        template="{question}",
        max_new_tokens=100,
        datasets={"textvqa_val": {"max_new_tokens": 10}},
    )
    assert prompt.for_dataset("textvqa_val").max_new_tokens == 10
    assert prompt.for_dataset("docvqa_val").max_new_tokens == 100


def test_the_generated_dataset_comes_in_any_size() -> None:
    large = load_dataset("sample-5000")
    assert large.name == "sample-5000"
    assert large.source.images == 5000  # type: ignore[union-attr]
    assert large.headline == load_dataset("sample").headline


@pytest.mark.parametrize("name", ["docvqa_val-12", "sample-0", "sample--1"])
def test_only_generated_datasets_have_sizes(name: str) -> None:
    with pytest.raises(UserError, match="unknown dataset"):
        load_dataset(name)


def test_a_misspelt_key_is_told_before_the_missing_one_that_it_was_meant_for(
    tmp_path: Path,
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("title: T\nmodles: [a]\ndatasets: [b]\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"study\.yaml:2: modles: .*Did you mean 'models'"):
        load_study(file)
    file.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="an empty file"):
        load_study(file)
