"""A hub that is not the hub, and a data home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.transfer import download as transfer
from tests.doubles.hub import FakeHub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(transfer, "SPARE_BYTES", 0)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "PIXTRACK_MODEL_SOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with FakeHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")
