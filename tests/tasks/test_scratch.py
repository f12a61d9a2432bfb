"""Temporary folders: found by nobody after their users' end, and short enough for sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks import scratch
from pixtrack.tasks.scratch import make_scratch, remove_abandoned, scratch_folder

USER = """
import os, signal, sys, tempfile
from pixtrack.tasks.scratch import scratch_folder
with scratch_folder("test") as folder:
    (folder / "below").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's place for temporary files, with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def test_a_folder_is_there_for_the_block_and_gone_after_an_error(place: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder("log") as folder:
        (folder / "file").write_text("x")
        assert folder.parent == place and folder.name.startswith("pixtrack-log-")
        1 / 0  # noqa: B018
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not(
    place: Path,
) -> None:
    mine = make_scratch()
    killed = subprocess.run(
        [sys.executable, "-c", USER], env={**os.environ, "TMPDIR": str(place)}, timeout=120
    )
    assert killed.returncode == -9
    (place / "pixtrack-of-somebody").mkdir()
    (left,) = place.glob("pixtrack-test-*")
    with scratch_folder("next"):
        assert not left.exists() and mine.path.exists()
    # As long as one of the processes that share it lives.
    child = subprocess.Popen(["sleep", "30"], pass_fds=[mine.lock])
    os.close(mine.lock)
    remove_abandoned(place)
    assert mine.path.exists()
    child.kill()
    child.wait()
    remove_abandoned(place)
    assert [path.name for path in place.iterdir()] == ["pixtrack-of-somebody"]


def test_sockets_fit_where_the_temporary_place_has_a_long_path(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = place / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    chosen = make_scratch(socket_name_bytes=36)
    try:
        assert not chosen.path.is_relative_to(deep)
        path = str(chosen.path / ("s" * 36))
        assert len(path) < 107
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path)
    finally:
        chosen.remove()
    # Without sockets the path may be as long as it likes.
    with scratch_folder("log") as folder:
        assert folder.parent == deep
    monkeypatch.setattr(scratch, "_places", lambda: [deep])
    with pytest.raises(UserError, match="set TMPDIR to a folder with a short path"):
        make_scratch(socket_name_bytes=36)
