"""Nothing of the inference child is left, whoever dies first: with a stand-in for the worker.

The stand-in starts what vLLM starts: processes below it, one in a session of its own, that ignore
SIGTERM and do not mind their parent's death.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pixtrack.tasks.inference.host import guard
from tests.doubles.patience import wait_until
from tests.doubles.processes import alive, below, kill_at_once, program

END_SECONDS = 30
"""Until no process is alive: the stubborn ones would live for a minute."""

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
WORKER = f"""
import os, signal, subprocess, sys, time
pids = [subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], start_new_session=own).pid
        for own in (False, True)]
middle = subprocess.Popen([sys.executable, "-c",
    "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.DEVNULL).pid)",
    {STUBBORN!r}], stdout=subprocess.PIPE, text=True)
pids.append(int(middle.communicate()[0]))  # an orphan: its parent is gone already
def stop(*_):
    open(sys.argv[1] + ".term", "w").close()
    if "polite" in sys.argv: sys.exit(7)
signal.signal(signal.SIGTERM, stop)
with open(sys.argv[1] + ".tmp", "w") as file: file.write(" ".join(map(str, [os.getpid(), *pids])))
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
while "exit" not in sys.argv: time.sleep(0.05)
sys.exit(5)
"""
FLOW = f"""
import os, subprocess, sys, threading, time
read_end, lifeline = os.pipe()
def start():
    global guard
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", {guard.__file__!r}, str(read_end), "1.0",
         sys.executable, "-c", {WORKER!r}, *sys.argv[2:]],
        pass_fds=[read_end], start_new_session=True)
if sys.argv[1] == "thread":
    thread = threading.Thread(target=start); thread.start(); thread.join()
else:
    start()
os.close(read_end)
if sys.argv[1] == "fork" and os.fork() == 0:
    time.sleep(60)  # holds the lifeline open
    os._exit(0)
print(guard.pid, flush=True)
code = guard.wait()
print(code, flush=True)
time.sleep(60)
"""
"""A stand-in for the flow: starts the guard as pixtrack.tasks.inference.host.process does."""


def started(flow: subprocess.Popen[str], pids_file: Path) -> tuple[int, list[int]]:
    assert flow.stdout is not None
    guard_pid = int(flow.stdout.readline())
    wait_until(pids_file.exists, "the worker is up")
    pids = [int(pid) for pid in pids_file.read_text().split()]
    assert len(alive(pids)) == 4
    return guard_pid, pids


@pytest.mark.parametrize("way", ["plain", "fork"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_all_end_with_the_flow(way: str, number: signal.Signals, tmp_path: Path) -> None:
    with program(FLOW, way, tmp_path / "pids") as flow:
        guard_pid, pids = started(flow, tmp_path / "pids")
        os.kill(flow.pid, number)
        flow.wait()
        wait_until(lambda: not alive([guard_pid, *pids]), "everything has ended", END_SECONDS)
    assert (tmp_path / "pids.term").exists()


@pytest.mark.parametrize("ends", ["flow", "worker", "guard told"])
def test_the_engines_temporary_folder_ends_with_it(
    ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "below").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(scratch / "s"))
    monkeypatch.setenv("PIXTRACK_SCRATCH", str(scratch))
    with program(FLOW, "plain", tmp_path / "pids") as flow:
        guard_pid, pids = started(flow, tmp_path / "pids")
        assert scratch.exists()
        pid, number = {
            "flow": (flow.pid, signal.SIGKILL),
            "worker": (pids[0], signal.SIGKILL),
            "guard told": (guard_pid, signal.SIGTERM),
        }[ends]
        os.kill(pid, number)
        wait_until(lambda: not alive([guard_pid, *pids]), "everything has ended", END_SECONDS)
        assert not scratch.exists()


SHARING = """
import os, signal, sys, time
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=64)
print(memory.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_shared_memory_of_a_killed_worker_is_given_back() -> None:
    read_end, lifeline = os.pipe()
    command = [sys.executable, "-I", "-S", guard.__file__, str(read_end), "1.0"]
    done = subprocess.run(
        [*command, sys.executable, "-c", SHARING],
        pass_fds=[read_end],
        capture_output=True,
        text=True,
        timeout=120,
    )
    os.close(read_end)
    os.close(lifeline)
    assert done.returncode == 128 + signal.SIGKILL
    assert not Path("/dev/shm", done.stdout.strip()).exists()


def test_all_end_with_the_worker(tmp_path: Path) -> None:
    with program(FLOW, "plain", tmp_path / "pids") as flow:
        guard_pid, pids = started(flow, tmp_path / "pids")
        os.kill(pids[0], signal.SIGKILL)
        wait_until(lambda: not alive([guard_pid, *pids]), "everything has ended", END_SECONDS)
        assert flow.stdout and int(flow.stdout.readline()) == 128 + signal.SIGKILL


def test_the_workers_exit_code_is_passed_on(tmp_path: Path) -> None:
    with program(FLOW, "plain", tmp_path / "pids", "exit") as flow:
        assert flow.stdout
        flow.stdout.readline()
        assert int(flow.stdout.readline()) == 5
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert not alive(pids)


def test_told_to_end_the_worker_is_asked_first_and_then_killed(tmp_path: Path) -> None:
    with program(FLOW, "plain", tmp_path / "pids", "polite") as flow:
        guard_pid, pids = started(flow, tmp_path / "pids")
        os.kill(guard_pid, signal.SIGTERM)
        assert flow.stdout and int(flow.stdout.readline()) == 7
        assert not alive(pids)
    with program(FLOW, "plain", tmp_path / "again") as flow:
        guard_pid, pids = started(flow, tmp_path / "again")
        os.kill(guard_pid, signal.SIGTERM)
        assert flow.stdout and int(flow.stdout.readline()) == 128 + signal.SIGKILL
        assert (tmp_path / "again.term").exists() and not alive(pids)


def test_the_end_of_the_thread_that_started_it_changes_nothing(tmp_path: Path) -> None:
    with program(FLOW, "thread", tmp_path / "pids") as flow:
        guard_pid, pids = started(flow, tmp_path / "pids")
        with pytest.raises(AssertionError):
            wait_until(lambda: len(alive([guard_pid, *pids])) < 5, "something has ended", 1.2)


def test_descendants_are_found_in_every_session(tmp_path: Path) -> None:
    with program(FLOW, "plain", tmp_path / "pids") as flow:
        guard_pid, pids = started(flow, tmp_path / "pids")
        assert sorted(guard.descendants(guard_pid)) == sorted(below(guard_pid)) == sorted(pids)
        kill_at_once([guard_pid, *pids])


def test_the_guard_needs_nothing_but_the_standard_library() -> None:
    code = f"import runpy; runpy.run_path({guard.__file__!r}, run_name='x')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=120)
