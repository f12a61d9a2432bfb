"""Notes of flow runs, on a disk that takes none."""

from __future__ import annotations

from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.tasks.prefecting import reaping


def test_a_note_that_cannot_be_written_does_not_stop_a_run(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prefect.write_text("no folder: nothing can be written below it")
    reaping.begun(home, "a")
    reaping.ended(home, "a", "COMPLETED", reported=False)


def test_a_note_lies_there_until_the_server_knows(tmp_path: Path) -> None:
    home = Home(tmp_path)
    reaping.begun(home, "a")
    reaping.begun(home, "b")
    reaping.ended(home, "a", "COMPLETED", reported=True)
    reaping.ended(home, "b", "FAILED", reported=False)
    (left,) = (home.prefect / "flow-runs").iterdir()
    assert left.name == "b.json" and '"ended":"FAILED"' in left.read_text()
