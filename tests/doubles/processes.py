"""Helpers of the tests that start, kill and count processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from pixtrack.tasks.inference.host.environment import child_environment

REPOSITORY = Path(__file__).resolve().parents[2]


def alive(pids: list[int]) -> list[int]:
    """Those of the processes that run; zombies do not."""
    running = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                running.append(pid)
    return running


def below(pid: int) -> list[int]:
    """Every process below this one."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_at_once(pids: list[int]) -> None:
    """Stops them all before the first dies, so that none has time to react to another's end."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def program(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Runs Python code as a process of its own; nothing of it is left afterwards."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    seen: list[int] = []
    try:
        yield process
        seen = below(process.pid)
    finally:
        kill_at_once([*below(process.pid), *seen, process.pid])
        process.wait()
        if process.stdout:
            process.stdout.close()


def vllm_program(module: str, *arguments: object, scratch: Path) -> Any:
    """Runs a test module as the inference child would run: what its last line says, from JSON."""
    environment = child_environment({**os.environ, "VLLM_LOGGING_LEVEL": "ERROR"}, str(scratch))
    del environment["PYTHONSAFEPATH"]
    environment["PYTHONPATH"] += os.pathsep + str(REPOSITORY)
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_code(code: str, path: list[Path], **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code to its end, with these folders first on its module path."""
    env = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=240
    )


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that leads a group, and the whole group if it does not end by itself."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)  # Prefect's worker now and then does not end by itself
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
