"""Finding engines that nobody owns any more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pixtrack.tasks.environment.strays import find_strays

ENGINE = "exec -a VLLM::EngineCore sleep 30"


class Process:
    def __init__(self, pid: int, ppid: int, command: str, name: str = "") -> None:
        self.pid = pid
        self.info: dict[str, Any] = {
            "pid": pid,
            "ppid": ppid,
            "name": name or command.split()[0],
            "cmdline": command.split(),
            "create_time": 1000.0 + pid,
            "memory_info": None,
            "status": "sleeping",
        }


def strays(monkeypatch: pytest.MonkeyPatch, *processes: Process) -> list[int]:
    monkeypatch.setattr(psutil, "process_iter", lambda fields: iter(processes))
    return [stray.pid for stray in find_strays()]


INIT = Process(1, 0, "/sbin/init", "systemd")


def test_an_engine_below_process_1_is_a_stray_and_so_are_its_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = Process(20, 1, "VLLM::EngineCore")
    worker = Process(30, 20, "VLLM::Worker_TP0")
    assert strays(monkeypatch, INIT, worker, core) == [20, 30]


def test_an_engine_that_somebody_uses_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Process(10, 1, "bash")
    server = Process(20, 10, "python -m vllm.entrypoints.openai.api_server")
    nohup = Process(40, 1, "python serve.py")
    processes = (INIT, shell, server, Process(30, 20, "VLLM::EngineCore"))
    assert strays(monkeypatch, *processes, nohup, Process(50, 40, "VLLM::EngineCore")) == []


def test_ours_without_a_flow_are_strays_and_with_one_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def tree(flow: int) -> list[Process]:
        return [
            Process(30, flow, "/usr/bin/python3 -I -S /x/tasks/inference/host/guard.py 5 10"),
            Process(31, 30, "/venv/bin/python -m pixtrack.tasks.inference.worker.main"),
            Process(32, 31, "VLLM::EngineCore"),
        ]

    flow = Process(20, 1, "/venv/bin/python /venv/bin/pixtrack eval")
    assert strays(monkeypatch, INIT, flow, *tree(20)) == []
    assert strays(monkeypatch, INIT, *tree(1)) == [30, 31, 32]


def test_below_a_users_systemd_is_below_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    user = Process(9, 1, "/lib/systemd/systemd --user", "systemd")
    assert strays(monkeypatch, INIT, user, Process(20, 9, "VLLM::EngineCore")) == [20]


def test_a_server_that_is_process_1_of_its_container_owns_its_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Process(1, 0, "/usr/bin/python3 /usr/bin/vllm serve model", "vllm")
    assert strays(monkeypatch, server, Process(20, 1, "VLLM::EngineCore")) == []


def test_names_among_the_arguments_of_others_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    others = ("vim tasks/inference/host/guard.py", "grep VLLM::EngineCore", "less VLLM::x")
    assert strays(monkeypatch, INIT, *(Process(20 + i, 1, c) for i, c in enumerate(others))) == []


def test_a_real_engine_process_is_seen_with_its_age_and_memory(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("reads Linux's process table")
    shell = subprocess.Popen(["bash", "-c", ENGINE])
    try:
        time.sleep(0.2)
        assert shell.pid not in [stray.pid for stray in find_strays()]
    finally:
        shell.kill()
        shell.wait()
    pid_file = tmp_path / "pid"
    subprocess.run(["bash", "-c", f"({ENGINE}) & echo $! > {pid_file}"], check=True)
    pid = int(pid_file.read_text())
    try:
        time.sleep(0.2)
        parent = psutil.Process(psutil.Process(pid).ppid())
        found = {stray.pid: stray for stray in find_strays()}
        if parent.pid == 1 or parent.name() == "systemd":
            stray = found[pid]
            assert stray.memory > 0 and 0 <= stray.age_seconds < 30
            assert stray.command.startswith("VLLM::EngineCore")
        else:  # adopted by whatever takes orphans here: it has an owner then
            assert pid not in found
    finally:
        os.kill(pid, 9)
