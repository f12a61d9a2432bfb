"""The faults: one row of FAULTS each."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bench.chaos.scene import Scene

HOSTILE_SECONDS = 3.0

Fault = Callable[[Scene, random.Random], str]
"""Injects itself; returns what it hit, "" where there was nothing to hit at that moment."""


def _named(scene: Scene, mark: str) -> list[psutil.Process]:
    """The command's processes whose command line holds the mark."""
    found = []
    for process in scene.processes():
        with contextlib.suppress(psutil.Error):
            if mark in " ".join(process.cmdline()):
                found.append(process)
    return found


def _signal(mark: str, sign: signal.Signals) -> Fault:
    def inject(scene: Scene, rng: random.Random) -> str:
        hit = _named(scene, mark)
        if not hit:
            return ""
        process = rng.choice(hit)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(sign)
        return f"{sign.name} to {mark}"

    return inject


def _command(sign: signal.Signals) -> Fault:
    def inject(scene: Scene, _rng: random.Random) -> str:
        with contextlib.suppress(ProcessLookupError):
            os.kill(scene.command_pid, sign)
        return f"{sign.name} to the command"

    return inject


def _everything(scene: Scene, _rng: random.Random) -> str:
    """A power cut: everything at once."""
    for process in scene.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return "power cut"


def _full_disk(scene: Scene, _rng: random.Random) -> str:
    """Fills the data home's own small disk, and frees it when the command has ended."""
    if not scene.own_disk:
        return ""
    filler = scene.home / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"\0" * (1 << 20))
    scene.afterwards(lambda: Path(filler).unlink(missing_ok=True))
    return "full disk"


def _hostile(scene: Scene, rng: random.Random) -> str:
    """The endpoint answers with something that is no answer, for a while."""
    name = rng.choice(sorted(scene.endpoint_modes))
    scene.endpoint_mode = name
    scene.hostile_until = time.monotonic() + HOSTILE_SECONDS
    return f"endpoint: {name}"


FAULTS: dict[str, Fault] = {
    "kill the command": _command(signal.SIGKILL),
    "terminate the command": _command(signal.SIGTERM),
    "interrupt the command": _command(signal.SIGINT),
    "hang up on the command": _command(signal.SIGHUP),
    "kill the guard": _signal("host/guard.py", signal.SIGKILL),
    "kill the worker": _signal("inference.worker.main", signal.SIGKILL),
    "freeze the worker": _signal("inference.worker.main", signal.SIGSTOP),
    "kill Prefect's server": _signal("prefect_app", signal.SIGKILL),
    "freeze Prefect's server": _signal("prefect_app", signal.SIGSTOP),
    "power cut": _everything,
    "full disk": _full_disk,
    "hostile endpoint": _hostile,
}
