from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, load_model, names, read_yaml
from pixtrack.configs.schema import DatasetConfig, HubModel, LocalModel, ModelConfig
from pixtrack.tasks.download.hub_settings import COMMIT

NAMES = names(ModelConfig)
WANTED = {
    "pixtral-12b",
    "pixtral-12b-hf",
    "pixtral-large-w4a16",
    "qwen2.5-vl-7b",
    "llava-onevision",
    "llava-onevision-7b",
    "endpoint",
    "pixtral-random",
}


def test_every_model_of_the_two_documents_is_configured() -> None:
    assert set(NAMES) >= WANTED


@pytest.mark.parametrize("name", NAMES)
def test_a_revision_is_a_commit_or_the_notes_say_why_not(name: str) -> None:
    model = load_model(name)
    if isinstance(model.source, HubModel) and not COMMIT.fullmatch(model.source.revision):
        assert f"`{model.source.revision}`" in model.notes


@pytest.mark.parametrize("name", NAMES)
def test_every_published_score_says_whose_it_is_and_of_what(name: str) -> None:
    for score in load_model(name).published_scores:
        assert score.by
        assert score.metric
        # vqav2 is all of VQAv2's validation, of which vqav2_restval is a part.
        assert score.dataset in {*names(DatasetConfig), "vqav2"}


@pytest.mark.parametrize("name", NAMES)
def test_a_score_in_a_models_file_and_in_a_datasets_is_one_score(name: str) -> None:
    model = load_model(name)
    for score in model.published_scores:
        if score.dataset not in names(DatasetConfig):
            continue
        there = load_dataset(score.dataset).published_scores
        same = [one for one in there if one.value == score.value]
        assert [(one.model, one.by) for one in same] in (
            [],
            [(score.model or model.title, score.by)],
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_model_says_licence_memory_and_where_it_stands(name: str) -> None:
    model = load_model(name)
    assert model.licence
    assert model.memory
    assert model.notes or model.card
    if isinstance(model.source, LocalModel):
        assert not Path(model.source.path).is_absolute()
    if model.source.kind != "endpoint":
        assert model.parameters_billions > 0
        assert model.size_gb > 0
        assert model.context_tokens >= model.engine.get("max_model_len", 0)


@pytest.mark.parametrize("name", NAMES)
def test_remote_code_is_off_unless_the_file_says_why(name: str) -> None:
    model = load_model(name)
    if name != "llava-onevision":
        assert not model.engine.get("trust_remote_code")
    else:
        assert "checkpoint brings its own modelling code" in model.trust_remote_code_reason


def test_remote_code_without_a_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(
        "title: M\nsource: {kind: hub, repo: a/b, revision: main}\nformat: hf\nfamily: x\n"
        "parameters_billions: 1\nlicence: MIT\nengine: {trust_remote_code: true}\n"
    )
    with pytest.raises(UserError, match="say why in trust_remote_code_reason"):
        read_yaml(path, ModelConfig, name="m")


def test_the_vendors_recipes_carry_its_parallel_sizes() -> None:
    (small,) = load_model("pixtral-12b").recipes
    assert small.engine == {"tensor_parallel_size": 4}
    (large,) = load_model("pixtral-large-w4a16").recipes
    assert large.engine["tensor_parallel_size"] * large.engine["pipeline_parallel_size"] == 8
    assert large.engine["max_model_len"] == 4096


def test_max_pages_says_which_pages_are_shown() -> None:
    from tests.doubles.cells import cell

    assert cell(dataset={"max_pages": 8, "pages": "even"}).dataset.max_pages == 8
    with pytest.raises(ValidationError, match="pages: first, or pages: even"):
        cell(dataset={"max_pages": 8})
