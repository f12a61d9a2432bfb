from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import EndpointModel, GeneratedModel, LocalModel
from pixtrack.tasks.download import fetch_model, local_files, model_identity, verify_model
from tests.doubles.hub import FakeHub
from tests.doubles.model_files import mistral_files, model, write

REPO = "mistralai/Tiny"


def test_a_local_directory_is_checked_and_left_alone(home: Home, tmp_path: Path) -> None:
    directory = write(tmp_path / "copy", mistral_files())
    config = model(REPO, "a" * 40)
    before = sorted(directory.rglob("*"))
    assert fetch_model(config, home, model_dir=directory) == directory
    assert sorted(directory.rglob("*")) == before
    (directory / "tekken.json").unlink()
    with pytest.raises(UserError, match=r"tekken\.json: missing.*--model-dir"):
        fetch_model(config, home, model_dir=directory)


def test_path_in_the_models_file_starts_at_the_configs_folder(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(tmp_path / "configs"))
    directory = write(tmp_path / "configs" / "files" / "tiny", mistral_files())
    config = model(REPO, "main").model_copy(update={"source": LocalModel(path="files/tiny")})
    assert fetch_model(config, home) == directory


def test_a_generated_model_is_written_once(home: Home) -> None:
    config = model(REPO, "main").model_copy(update={"source": GeneratedModel(seed=3)})
    assert local_files(config, home) is None
    weights = fetch_model(config, home) / "consolidated.safetensors"
    stamp = weights.stat().st_mtime_ns
    fetch_model(config, home)
    assert weights.stat().st_mtime_ns == stamp
    other = config.model_copy(update={"source": GeneratedModel(seed=4)})
    first = weights.read_bytes()
    fetch_model(other, home)
    assert weights.read_bytes() != first


def test_an_endpoint_has_no_files(home: Home) -> None:
    config = model(REPO, "main").model_copy(update={"source": EndpointModel()})
    with pytest.raises(UserError, match="behind an endpoint"):
        fetch_model(config, home)


def test_the_same_files_are_the_same_model_wherever_they_lie(
    hub: FakeHub, home: Home, tmp_path: Path
) -> None:
    files = mistral_files()
    config = model(REPO, hub.add("model", REPO, files))
    downloaded = model_identity(config, fetch_model(config, home), home)
    copy = write(tmp_path / "copy", files)
    assert model_identity(config, copy, home) == downloaded
    (copy / "consolidated.safetensors").write_bytes(
        mistral_files(fill=b"\7")["consolidated.safetensors"]
    )
    assert model_identity(config, copy, home) != downloaded


def test_a_local_copy_is_hashed_once(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = model(REPO, "main")
    copy = write(tmp_path / "copy", mistral_files())
    first = model_identity(config, copy, home)
    monkeypatch.setattr(
        "pixtrack.tasks.download.identity.hash_file", lambda path: pytest.fail("hashed")
    )
    assert model_identity(config, copy, home) == first


def test_verification_reads_every_byte_and_names_what_is_damaged(hub: FakeHub, home: Home) -> None:
    config = model(REPO, hub.add("model", REPO, mistral_files()))
    directory = fetch_model(config, home)
    assert verify_model(config, home) == ([], 3)
    weights = directory / "consolidated.safetensors"
    times = weights.stat()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))  # as bit rot: size and time stay
    assert local_files(config, home) == directory
    found, _ = verify_model(config, home)
    assert [line.partition(":")[0] for line in found] == ["consolidated.safetensors"]
    assert "damaged" in found[0]
    assert local_files(config, home) is None  # no longer vouched for
    fetch_model(config, home)
    assert verify_model(config, home) == ([], 3)
    (directory / "tekken.json").unlink()
    assert any(line.startswith("tekken.json: missing") for line in verify_model(config, home)[0])


def test_a_copy_from_elsewhere_is_verified_for_completeness_alone(
    home: Home, tmp_path: Path
) -> None:
    copy = write(tmp_path / "copy", mistral_files())
    assert verify_model(model(REPO, "main"), home, copy) == ([], 0)
