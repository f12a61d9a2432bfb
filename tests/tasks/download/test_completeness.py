from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.download import problems, require_complete
from pixtrack.tasks.download.generated import write_random_pixtral
from tests.doubles.model_files import hf_files, mistral_files, write


def test_whole_directories_have_no_problems(tmp_path: Path) -> None:
    assert problems(write(tmp_path / "m", mistral_files()), "mistral") == []
    assert problems(write(tmp_path / "h", hf_files()), "hf") == []
    write_random_pixtral(tmp_path / "r")
    assert problems(tmp_path / "r", "mistral") == []


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path / "absent", "hf") == [f"{tmp_path / 'absent'}: no such directory"]


def test_a_file_in_place_of_the_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    assert "not a directory" in problems(tmp_path / "f", "hf")[0]


def test_missing_shards_are_named_by_the_index(tmp_path: Path) -> None:
    directory = write(tmp_path, hf_files(shards=4))
    (directory / "model-00002-of-00004.safetensors").unlink()
    (directory / "model-00004-of-00004.safetensors").unlink()
    assert problems(directory, "hf") == [
        f"model-0000{n}-of-00004.safetensors: missing (model.safetensors.index.json names it)"
        for n in (2, 4)
    ]


def test_missing_shards_are_named_without_an_index_too(tmp_path: Path) -> None:
    directory = write(tmp_path, hf_files(shards=3))
    (directory / "model-00003-of-00003.safetensors").unlink()
    (directory / "model.safetensors.index.json").unlink()
    assert problems(directory, "hf") == [
        "model-00003-of-00003.safetensors: missing",
        "model.safetensors.index.json: missing",
    ]


@pytest.mark.parametrize("left", [0, 5, 40, 200_000])
def test_a_truncated_weights_file_is_named(tmp_path: Path, left: int) -> None:
    directory = write(tmp_path, mistral_files())
    path = directory / "consolidated.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    (line,) = problems(directory, "mistral")
    assert line.startswith("consolidated.safetensors: truncated")


def test_a_truncated_shard_says_how_much_is_there(tmp_path: Path) -> None:
    directory = write(tmp_path, hf_files(shards=2))
    path = directory / "model-00002-of-00002.safetensors"
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    (line,) = problems(directory, "hf")
    assert f"({whole - 1} of {whole} bytes)" in line


def test_a_file_longer_than_its_header_says_is_named(tmp_path: Path) -> None:
    directory = write(tmp_path, mistral_files())
    with (directory / "consolidated.safetensors").open("ab") as file:
        file.write(b"123")
    assert problems(directory, "mistral") == [
        "consolidated.safetensors: 3 bytes longer than its header says"
    ]


def test_a_git_lfs_pointer_is_recognised(tmp_path: Path) -> None:
    files = mistral_files()
    files["consolidated.safetensors"] = (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"
    )
    assert "Git LFS pointer" in problems(write(tmp_path, files), "mistral")[0]


def test_something_else_in_place_of_weights_is_recognised(tmp_path: Path) -> None:
    files = mistral_files()
    files["consolidated.safetensors"] = b"<!DOCTYPE html><html>login please</html>" * 100
    assert "not a safetensors file" in problems(write(tmp_path, files), "mistral")[0]


def test_the_other_format_is_said_in_both_directions(tmp_path: Path) -> None:
    mistral = mistral_files()
    hf = {k: v for k, v in hf_files().items() if not k.startswith("consolidated")}
    assert "wrong format" in problems(write(tmp_path / "a", mistral), "hf")[0]
    assert "wrong format" in problems(write(tmp_path / "b", hf), "mistral")[0]


def test_a_cut_off_config_is_named(tmp_path: Path) -> None:
    directory = write(tmp_path, hf_files())
    (directory / "config.json").write_text('{"model_type": "lla')
    (directory / "tokenizer_config.json").write_text("")
    assert problems(directory, "hf") == [
        "config.json: truncated or not JSON",
        "tokenizer_config.json: empty",
    ]


def test_a_directory_without_image_processor_is_refused(tmp_path: Path) -> None:
    directory = write(tmp_path, hf_files())
    (directory / "preprocessor_config.json").unlink()
    assert "no image can be shown" in problems(directory, "hf")[0]


def test_pickled_weights_are_not_taken(tmp_path: Path) -> None:
    files = {k: v for k, v in hf_files().items() if not k.endswith(("safetensors", "index.json"))}
    (line,) = problems(write(tmp_path, files), "hf")
    assert "pytorch_model.bin is not read" in line


def test_an_unfinished_download_is_named(tmp_path: Path) -> None:
    directory = write(tmp_path, mistral_files())
    (directory / "consolidated.safetensors.aria2").write_text("")
    assert problems(directory, "mistral") == [
        "consolidated.safetensors.aria2: an unfinished download"
    ]


def test_an_index_that_names_nothing_is_a_problem(tmp_path: Path) -> None:
    directory = write(tmp_path, hf_files())
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}}))
    assert problems(directory, "hf") == ["model.safetensors.index.json: has no weight_map"]


def test_require_complete_names_every_file_and_the_remedy(tmp_path: Path) -> None:
    directory = write(tmp_path, mistral_files())
    (directory / "tekken.json").unlink()
    (directory / "params.json").write_text("{}")
    with pytest.raises(UserError) as error:
        require_complete(directory, "mistral", "Download it again.")
    assert "params.json: has no 'dim'" in str(error.value)
    assert "tekken.json: missing" in str(error.value)
    assert str(error.value).endswith("Download it again.")
    assert "\n" not in str(error.value)
