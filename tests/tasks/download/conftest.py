"""A hub that is not the hub, and a data home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixtrack.configs.paths import Home
from tests.doubles.hub import FakeHub, hub_for_downloads


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with hub_for_downloads(monkeypatch, tmp_path / "hf") as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")
