"""A user's own configurations lie in a folder of the user's, beside the shipped ones."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from pixtrack.configs import loading, paths
from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_model, load_prompt, load_study, names, study_file
from pixtrack.configs.paths import SHIPPED_CONFIGS, config_file, own_configs, writable_configs
from pixtrack.configs.schema import DatasetConfig, ModelConfig, PromptConfig

PROMPT = "title: {title}\ntemplate: '{{question}}'\nmax_new_tokens: 7\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one prompt of the user's own."""
    folder = tmp_path / "mine"
    (folder / "prompts").mkdir(parents=True)
    (folder / "prompts" / "terse.yaml").write_text(PROMPT.format(title="Terse"))
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(folder))
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "data"))
    loading._say_which.cache_clear()
    return folder


@pytest.mark.usefixtures("own")
def test_own_configurations_stand_beside_the_shipped_ones() -> None:
    assert load_prompt("terse").title == "Terse"
    assert load_prompt("plain").name == "plain"
    assert {"terse", "plain"} <= set(names(PromptConfig))
    assert load_model("pixtral-12b").name == "pixtral-12b"


def test_the_users_file_wins_by_name_and_that_is_said_once(
    own: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("pixtrack"), "propagate", True)
    (own / "prompts" / "plain.yaml").write_text(PROMPT.format(title="Mine"))
    assert load_prompt("plain").title == "Mine"
    assert load_prompt("plain").title == "Mine"
    assert names(PromptConfig).count("plain") == 1
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{own}/prompts/plain.yaml is used, not the shipped prompts/plain.yaml"]


def test_a_copy_that_says_the_same_is_not_mentioned(
    own: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("pixtrack"), "propagate", True)
    shutil.copy(SHIPPED_CONFIGS / "prompts" / "plain.yaml", own / "prompts")
    assert load_prompt("plain").name == "plain"
    assert not caplog.records


def test_without_a_folder_of_ones_own_it_is_configs_in_the_data_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIXTRACK_CONFIGS", raising=False)
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path))
    assert own_configs() == tmp_path / "configs"
    assert "sample" in names(DatasetConfig)
    (tmp_path / "configs" / "prompts").mkdir(parents=True)
    (tmp_path / "configs" / "prompts" / "terse.yaml").write_text(PROMPT.format(title="Terse"))
    assert load_prompt("terse").title == "Terse"


def test_commands_write_to_the_checkout_or_to_the_users_folder_and_never_into_a_package(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert writable_configs() == own
    monkeypatch.delenv("PIXTRACK_CONFIGS")
    assert paths.CHECKOUT is not None
    assert writable_configs() == SHIPPED_CONFIGS == paths.CHECKOUT / "configs"
    monkeypatch.setattr(paths, "CHECKOUT", None)  # installed from a wheel
    assert writable_configs() == tmp_path / "data" / "configs"


def test_a_folder_that_is_named_and_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"absent: no such folder: PIXTRACK_CONFIGS names it"):
        names(ModelConfig)


def test_other_files_are_found_in_the_users_folder_first(own: Path, tmp_path: Path) -> None:
    shipped = SHIPPED_CONFIGS / "models" / "pixtral-nano"
    assert config_file("models/pixtral-nano") == shipped
    (own / "models" / "pixtral-nano").mkdir(parents=True)
    assert config_file("models/pixtral-nano") == own / "models" / "pixtral-nano"
    assert config_file("nowhere.md") == own / "nowhere.md"
    assert config_file(tmp_path) == tmp_path


def test_a_study_is_found_by_name_or_path(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_study("sample_models").name == "sample_models"
    (own / "experiments").mkdir()
    mine = own / "experiments" / "mine.yaml"
    mine.write_text("title: T\nquestion: Q?\nmodels: [pixtral-nano]\ndatasets: [sample]\n")
    assert study_file("mine") == mine
    assert load_study(mine).title == "T"
    monkeypatch.chdir(mine.parent)
    assert load_study("mine.yaml").title == "T"
    with pytest.raises(UserError, match=r"unknown study 'sample_modls'\. Did you mean 'sample_mo"):
        load_study("sample_modls")
    with pytest.raises(UserError, match=r"elsewhere/mine\.yaml: no such file"):
        load_study("elsewhere/mine.yaml")
