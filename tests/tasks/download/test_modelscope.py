from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download import fetch_model, model_identity, read_manifest
from pixtrack.tasks.transfer import download as transfer
from tests.doubles.model_files import mistral_files, model, write
from tests.doubles.modelscope import FakeModelScope

FILES = mistral_files()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModelScope]:
    monkeypatch.setattr(transfer, "SPARE_BYTES", 0)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with FakeModelScope({"mistral/Tiny": FILES}) as double:
        monkeypatch.setenv("MODELSCOPE_DOMAIN", double.url)
        yield double


def config() -> ModelConfig:
    return model("mistralai/Tiny", "a" * 40, modelscope="mistral/Tiny")


def test_modelscope_delivers_the_same_files_verified(
    server: FakeModelScope, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    directory = fetch_model(config(), home, source="modelscope")
    manifest = read_manifest(directory)
    assert manifest is not None
    assert (manifest.source, manifest.repo) == ("modelscope", "mistral/Tiny")
    assert set(manifest.files) == {"params.json", "consolidated.safetensors", "tekken.json"}
    copy = write(tmp_path / "copy", FILES)
    assert model_identity(config(), directory, home) == model_identity(config(), copy, home)


def test_the_environment_chooses_modelscope(
    server: FakeModelScope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXTRACK_MODEL_SOURCE", "modelscope")
    fetch_model(config(), Home(tmp_path))
    asked = len(server.requests)
    fetch_model(config(), Home(tmp_path))
    assert len(server.requests) == asked > 0
    monkeypatch.delenv("PIXTRACK_MODEL_SOURCE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    fetch_model(config(), Home(tmp_path))  # here already: the hub is not asked


def test_an_unknown_source_lists_the_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXTRACK_MODEL_SOURCE", "gitee")
    with pytest.raises(UserError, match="use huggingface or modelscope"):
        fetch_model(config(), Home(tmp_path))


def test_wrong_content_is_refused(server: FakeModelScope, tmp_path: Path) -> None:
    server.wrong.add("tekken.json")
    with pytest.raises(UserError, match=r"tekken\.json: sha256"):
        fetch_model(config(), Home(tmp_path), source="modelscope")


def test_a_partial_file_is_continued(server: FakeModelScope, tmp_path: Path) -> None:
    partials = tmp_path / "models" / "tiny" / transfer.PARTIALS
    partials.mkdir(parents=True)
    import hashlib

    content = FILES["consolidated.safetensors"]
    tag = hashlib.sha256(content).hexdigest()[:16]
    (partials / f"consolidated.safetensors.{tag}").write_bytes(content[:100_000])
    directory = fetch_model(config(), Home(tmp_path), source="modelscope")
    assert (directory / "consolidated.safetensors").read_bytes() == content
    assert any(wanted == "bytes=100000-" for _, wanted in server.requests)
    assert not partials.exists()


def test_a_model_without_a_modelscope_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names no ModelScope repository"):
        fetch_model(model("mistralai/Tiny", "a" * 40), Home(tmp_path), source="modelscope")


def test_a_repository_that_is_not_there_is_named(server: FakeModelScope, tmp_path: Path) -> None:
    absent = model("mistralai/Tiny", "a" * 40, modelscope="mistral/Absent")
    with pytest.raises(UserError, match=r"has no mistral/Absent: correct source\.modelscope"):
        fetch_model(absent, Home(tmp_path), source="modelscope")


def test_something_else_at_the_address_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="cannot be reached"):
        fetch_model(config(), Home(tmp_path), source="modelscope")
