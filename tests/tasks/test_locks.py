"""The lock on an open file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from filelock import FileLock, Timeout

from pixtrack.tasks.locks import lock_descriptor


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_it_lasts_as_long_as_any_process_has_the_file_open(tmp_path: Path) -> None:
    file, other = opened(tmp_path / "f"), opened(tmp_path / "f")
    assert lock_descriptor(file) and not lock_descriptor(other)
    child = subprocess.Popen(["sleep", "30"], pass_fds=[file])
    os.close(file)
    assert not lock_descriptor(other)
    child.kill()
    child.wait()
    assert lock_descriptor(other)
    os.close(other)


def test_it_is_the_lock_of_filelock(tmp_path: Path) -> None:
    file = opened(tmp_path / "f")
    with FileLock(tmp_path / "f"):
        assert not lock_descriptor(file)
    assert lock_descriptor(file)
    try:
        FileLock(tmp_path / "f").acquire(timeout=0)
        raise AssertionError("locked twice")
    except Timeout:
        pass
    finally:
        os.close(file)
