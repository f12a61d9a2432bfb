"""A user without a home, as containers have them, gets one in the data home."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixtrack.configs.paths import have_a_home


@pytest.mark.parametrize(
    "error", [RuntimeError("Could not determine home directory."), KeyError(5)]
)
def test_without_a_home_the_data_home_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def home() -> Path:
        raise error

    monkeypatch.setattr(Path, "home", home)
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", "")
    have_a_home()
    assert os.environ["HOME"] == str(tmp_path / "data" / "user")


def test_a_home_that_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    have_a_home()
    assert os.environ["HOME"] == str(tmp_path)
