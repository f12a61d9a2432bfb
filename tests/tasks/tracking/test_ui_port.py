"""Links open the interface that runs, at whatever port it got."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtrack.tasks.owners import owner
from pixtrack.tasks.tracking.links import ui_address
from pixtrack.tasks.tracking.ui_port import noted

STORE = "sqlite:////nowhere/mlflow.db"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path))
    monkeypatch.delenv("PIXTRACK_UI_PORT", raising=False)
    return tmp_path


def test_links_have_the_port_of_the_interface_that_runs(folder: Path) -> None:
    assert ui_address(STORE) == "http://127.0.0.1:5000"
    with noted(5017):
        assert ui_address(STORE) == "http://127.0.0.1:5017"
    assert ui_address(STORE) == "http://127.0.0.1:5000" and not list(folder.iterdir())


def test_a_port_that_is_named_goes_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXTRACK_UI_PORT", "5020")
    with noted(5017):
        assert ui_address(STORE) == "http://127.0.0.1:5020"
    assert ui_address("http://tracking.example:8080") == "http://tracking.example:8080"


def ended() -> str:
    """The owner's mark of a process that has ended."""
    host, boot, _pid, started = owner().split()
    return f"{host} {boot} 999999999 {started}"


@pytest.mark.parametrize(
    "kept",
    ["", "{", f'{{"port": 5017, "owner": "{ended()}"}}', "[]"],
    ids=["empty", "damaged", "of a dead process", "a list"],
)
def test_a_note_of_a_dead_process_or_of_none_counts_for_nothing(folder: Path, kept: str) -> None:
    (folder / "mlflow-ui.json").write_text(kept)
    assert ui_address(STORE) == "http://127.0.0.1:5000"
