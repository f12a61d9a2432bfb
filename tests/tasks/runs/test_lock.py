"""A run is worked on by one process at a time, and a dead one keeps it from nobody."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.runs.lock import RunLock

LOCK = """
import sys, time
from pathlib import Path
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.runs.lock import RunLock
lock = RunLock(RunDirectory(Path(sys.argv[1])))
lock.acquire()
print("acquired", flush=True)
if sys.argv[2:]:
    time.sleep(60)
"""


def in_another_process(run: RunDirectory) -> subprocess.CompletedProcess[str]:
    """Acquires the run's lock in a process that ends without releasing it."""
    return subprocess.run(
        [sys.executable, "-c", LOCK, str(run.path)], capture_output=True, text=True, timeout=240
    )


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


def test_other_processes_are_refused_until_the_last_release(run: RunDirectory) -> None:
    """One process may acquire it several times: two cells of a study can be the same run."""
    first, second = RunLock(run), RunLock(run)
    first.acquire()
    second.acquire()
    first.release()
    refused = in_another_process(run)
    assert refused.returncode != 0
    assert "another command is at work on this run: wait for it or stop it" in refused.stderr
    second.release()
    second.release()
    assert in_another_process(run).stdout == "acquired\n"
    with RunLock(run) as lock:  # the other process ended without releasing it
        assert lock.acquired
    assert not lock.acquired


def test_the_lock_of_a_live_process_is_a_user_error(run: RunDirectory) -> None:
    with (run.path / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="wait for it or stop it"):
            RunLock(run).acquire()


def test_sigkill_releases_the_lock_and_children_of_the_dead_do_not_keep_it(
    run: RunDirectory,
) -> None:
    """Engine processes outlive a killed command by a moment."""
    child = "import subprocess; subprocess.Popen(['sleep', '20'])"
    program = LOCK.replace('print("acquired"', f'{child}\nprint("acquired"')
    killed = subprocess.Popen(
        [sys.executable, "-c", program, str(run.path), "stay"],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        assert killed.stdout is not None and killed.stdout.readline() == "acquired\n"
        with pytest.raises(UserError):
            RunLock(run).acquire()
        killed.kill()
        killed.wait()
        with RunLock(run):
            pass
    finally:
        os.killpg(killed.pid, signal.SIGKILL)


def test_it_may_be_released_by_another_thread(run: RunDirectory) -> None:
    """A Prefect task may run in a thread that is not its flow's."""
    opened = threading.Thread(target=RunLock(run).acquire)
    lock = RunLock(run)
    opened.start()
    opened.join()
    lock.release()
    assert in_another_process(run).stdout == "acquired\n"


@pytest.mark.parametrize("answer", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_stops_no_run(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with RunLock(run):
        pass


def test_a_place_that_cannot_be_written_is_said(run: RunDirectory) -> None:
    (run.path / "file").touch()
    with pytest.raises(OSError, match="file"):
        RunLock(RunDirectory(run.path / "file")).acquire()
