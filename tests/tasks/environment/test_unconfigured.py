"""A model named by its repository or its folder is described by its own files."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_model
from pixtrack.configs.paths import Home
from pixtrack.tasks.download import fetch_model, model_identity
from pixtrack.tasks.download.generated import write_random_pixtral
from pixtrack.tasks.environment import find_model, plan_memory, unconfigured
from pixtrack.tasks.environment.model_file import add
from tests.doubles.hub import FakeHub, hub_for_downloads
from tests.doubles.machines import t4
from tests.doubles.model_files import hf_files, mistral_files
from tests.tasks.environment.test_reading import PIXTRAL_HF, QWEN

CARD = b"---\nlicense: mit\n---\n# card"
PARAMS = {
    "dim": 64, "n_layers": 2, "head_dim": 32, "hidden_dim": 128, "n_heads": 2, "n_kv_heads": 1,
    "vocab_size": 512, "max_position_embeddings": 4096,
    "vision_encoder": {
        "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64, "image_size": 64,
        "patch_size": 16,
    },
}  # fmt: skip


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(tmp_path))
    with hub_for_downloads(monkeypatch, tmp_path / "hf") as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def hf(settings: Mapping[str, object], **more: bytes) -> dict[str, bytes]:
    files = {**hf_files(), "config.json": json.dumps(settings).encode(), "README.md": CARD}
    del files["consolidated.safetensors"]
    return {**files, **more}


def test_a_repository_is_described_at_the_commit_without_its_weights(
    hub: FakeHub, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    commit = hub.add("model", "org/qwen-like", hf(QWEN))
    with caplog.at_level(logging.WARNING):
        model = find_model("org/qwen-like", home)
    assert (model.name, model.title) == ("org--qwen-like", "org/qwen-like")
    assert model.source.kind == "hub" and model.source.revision == commit
    assert (model.format, model.family, model.licence) == ("hf", "qwen2_5_vl", "mit")
    assert model.dimensions is not None and model.dimensions.layers == QWEN["num_hidden_layers"]
    assert model.context_tokens == QWEN["max_position_embeddings"]
    assert model.size_gb > 0 and model.parameters_billions > 1
    assert plan_memory(model, None, t4()).max_model_len > 0
    assert not hub.downloads(".safetensors")
    said = caplog.messages[-1]
    assert f"read from org/qwen-like at {commit[:12]}" in said
    assert "assumed: 5 images in a prompt" in said and "not found out" not in said


def test_it_is_downloaded_and_identified_like_a_configured_one(hub: FakeHub, home: Home) -> None:
    hub.add("model", "org/pix", {**mistral_files(), "params.json": json.dumps(PARAMS).encode()})
    model = find_model("org/pix", home)
    assert (model.format, model.family) == ("mistral", "pixtral")
    assert model.engine["tokenizer_mode"] == "mistral" and model.engine["max_model_len"] == 4096
    directory = fetch_model(model, home)
    assert (directory / "tekken.json").is_file() and not (directory / "README.md").exists()
    assert model_identity(model, directory, home)["files"]


@pytest.mark.parametrize("asked", ["v1", "commit"])
def test_a_revision_is_resolved_recorded_and_part_of_the_name(
    hub: FakeHub, home: Home, asked: str
) -> None:
    first = hub.add("model", "org/m", hf(QWEN), branch="v1")
    second = hub.add("model", "org/m", hf(PIXTRAL_HF))
    revision = first if asked == "commit" else asked
    old, new = find_model(f"org/m@{revision}", home), find_model("org/m", home)
    assert old.source.kind == "hub" and old.source.revision == first
    assert new.source.kind == "hub" and new.source.revision == second
    assert old.name == f"org--m--{revision[:12]}" and new.name == "org--m"
    assert (old.family, new.family) == ("qwen2_5_vl", "pixtral")


def test_what_the_files_do_not_tell_is_said(
    hub: FakeHub, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    settings: dict[str, object] = {"model_type": "newer", "auto_map": {"AutoModel": "m.M"}}
    hub.add("model", "org/unknown", {**hf(settings), "README.md": b"# no head"})
    with caplog.at_level(logging.WARNING):
        model = find_model("org/unknown", home)
    assert model.dimensions is None and model.licence == "unknown" and not model.context_tokens
    for said in ("a context of 32,768 tokens", "its sizes", "licence", "code that the repository"):
        assert said in caplog.messages[-1]
    assert "trust_remote_code" not in model.engine


def test_a_repository_that_is_no_model_is_refused(hub: FakeHub, home: Home) -> None:
    hub.add("model", "org/gguf", {"model.gguf": b"x" * 100})
    with pytest.raises(UserError, match=r"org/gguf at .*neither params\.json nor config\.json"):
        find_model("org/gguf", home)
    with pytest.raises(UserError, match="has no model 'org/absent'"):
        find_model("org/absent", home)
    hub.add("model", "org/m", hf(QWEN))
    with pytest.raises(UserError, match="has no revision 'nowhere'"):
        find_model("org/m@nowhere", home)
    with pytest.raises(UserError, match=r"Did you mean 'pixtral-12b'.*ORG/NAME.*\./NAME"):
        find_model("pixtral-12", home)
    with pytest.raises(UserError, match=r"\./absent: no such folder"):
        find_model("./absent", home)


def test_the_hub_is_asked_once_a_command_and_not_missed_afterwards(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add("model", "org/kept", hf(QWEN))
    first = find_model("org/kept", home)
    asked = len(hub.requests)
    assert find_model("org/kept", home) is first and len(hub.requests) == asked
    for name, value in (("HF_HUB_OFFLINE", "1"), ("HF_ENDPOINT", "http://127.0.0.1:9")):
        monkeypatch.setenv(name, value)
        monkeypatch.setattr(unconfigured, "_FOUND", {})
        assert find_model("org/kept", home) == first
        assert find_model(f"org/kept@{commit}", home).source == first.source
        if name == "HF_HUB_OFFLINE":
            with pytest.raises(UserError, match="HF_HUB_OFFLINE is set and nothing is known of"):
                find_model("org/other", home)
            monkeypatch.delenv(name)


def test_a_folder_is_a_model(home: Home, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    write_random_pixtral(folder, 0)
    (folder / "README.md").write_bytes(CARD)
    with caplog.at_level(logging.WARNING):
        model = find_model(str(folder), home)
    assert model.source.kind == "local" and model.source.path == str(folder)
    assert (model.name, model.family, model.licence) == ("my-model", "pixtral", "mit")
    assert fetch_model(model, home) == folder
    assert str(folder) in caplog.messages[-1]
    folder.rename(tmp_path / "pixtral-12b")
    assert find_model(str(tmp_path / "pixtral-12b"), home).name == "pixtral-12b-local"


def test_the_repository_of_a_configured_model_is_that_model(home: Home) -> None:
    assert find_model("mistralai/Pixtral-12B-2409", home) == load_model("pixtral-12b")


def test_add_writes_a_file_that_says_the_same(hub: FakeHub, home: Home, tmp_path: Path) -> None:
    commit = hub.add("model", "org/m", hf(QWEN))
    said = {"title": "Mine", "licence": "", "max_images": 8}
    path, model = add("mine", "org/m", home, said)
    assert path == tmp_path / "models" / "mine.yaml"
    assert load_model("mine") == model
    assert (model.title, model.max_images, model.licence) == ("Mine", 8, "mit")
    assert model.source.kind == "hub" and model.source.revision == commit
    assert "assumed" not in model.notes
    with pytest.raises(UserError, match="there is a model of this name"):
        add("mine", "org/m", home, said)
    add("mine", "org/m", home, {"title": "Anew"}, replace=True)
    assert load_model("mine").title == "Anew"
    with pytest.raises(UserError, match="comes with pixtrack"):
        add("pixtral-12b", "org/m", home, {})
    with pytest.raises(UserError, match="not a name for a model"):
        add("../mine", "org/m", home, {})


def test_add_writes_an_endpoint_but_no_password(hub: FakeHub, home: Home) -> None:
    del hub
    _, model = add("served", "http://localhost:8000/v1", home, {}, "qwen")
    assert load_model("served") == model and model.endpoint.served_model == "qwen"
    with pytest.raises(UserError, match=r"^http://localhost:8000/v1: a password or key"):
        add("secret", "http://me:secret@localhost:8000/v1", home, {})
    with pytest.raises(UserError, match="--served-model is for an endpoint"):
        add("other", "org/m", home, {}, "qwen")
