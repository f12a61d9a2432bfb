"""The faults: one row of FAULTS each."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.chaos.scene import SERVERS, Scene, Server, Setting
from tests.doubles.door import Mode

MODES: tuple[Mode, ...] = ("closed", "frozen", "errors", "drips")
HOSTILE_SECONDS = 3.0

FROZEN_SECONDS = 5.0

WORKER, GUARD, PREFECT = "inference.worker.main", "host/guard.py", "prefect_app"
"""What the command lines of a command's processes hold."""

SIGNAL_SECONDS = 10.0
"""A command that is asked to end ends within this time, whatever state it is in."""

OTHER_SECONDS = 180.0
"""A command that a fault has hit goes on to its end, with all that is left of the run; one that has
not ended by then hangs, on a busy machine too."""

Inject = Callable[[Scene, random.Random], str]
"""Injects a fault; returns what it hit, "" where there was nothing to hit at that moment."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault."""

    inject: Inject
    ends_within_seconds: float = OTHER_SECONDS
    """A command that has not ended so long afterwards hangs."""
    where: tuple[Setting, ...] = ("alone", "team")
    """The settings in which there is something to hit; each round draws one."""


def _named(scene: Scene, mark: str) -> list[psutil.Process]:
    """The command's processes whose command line holds the mark."""
    found = []
    for process in scene.processes():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if mark in line and (mark == GUARD or GUARD not in line):  # which names its worker
                found.append(process)
    return found


def _signal(mark: str, sign: signal.Signals) -> Inject:
    def inject(scene: Scene, rng: random.Random) -> str:
        hit = _named(scene, mark)
        if not hit:
            return ""
        process = rng.choice(hit)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(sign)
        return f"{sign.name} to {mark}"

    return inject


def _command(sign: signal.Signals) -> Inject:
    def inject(scene: Scene, _rng: random.Random) -> str:
        with contextlib.suppress(ProcessLookupError):
            os.kill(scene.command_pid, sign)
        return f"{sign.name} to the command"

    return inject


def _frozen_for_a_while(scene: Scene, rng: random.Random) -> str:
    """The worker stands still and goes on, as on a machine that is suspended or swaps."""
    hit = _named(scene, WORKER)
    if not hit:
        return ""
    process = rng.choice(hit)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.suspend()
        time.sleep(FROZEN_SECONDS)
        process.resume()
    return f"{WORKER} frozen for {FROZEN_SECONDS:g} s"


def _both(first: Inject, then: Inject) -> Inject:
    def inject(scene: Scene, rng: random.Random) -> str:
        hit = first(scene, rng)
        return hit and f"{hit}, {then(scene, rng)}"

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


def _hostile(scene: Scene, _rng: random.Random) -> str:
    """The endpoint answers with what is no answer, each reply of another kind, for a while."""
    scene.hostile_until = time.monotonic() + HOSTILE_SECONDS
    return "hostile endpoint"


def _team_server(what: Server, mode: Mode) -> Inject:
    def inject(scene: Scene, _rng: random.Random) -> str:
        scene.shut(what, mode)
        return f"the team's {what} server: {mode}"

    return inject


FAULTS: dict[str, Fault] = {
    "kill the command": Fault(_command(signal.SIGKILL)),
    "terminate the command": Fault(_command(signal.SIGTERM), SIGNAL_SECONDS),
    "interrupt the command": Fault(_command(signal.SIGINT), SIGNAL_SECONDS),
    "hang up on the command": Fault(_command(signal.SIGHUP), SIGNAL_SECONDS),
    "kill the guard": Fault(_signal(GUARD, signal.SIGKILL)),
    "kill the worker": Fault(_signal(WORKER, signal.SIGKILL)),
    "freeze the worker for a while": Fault(_frozen_for_a_while),
    "freeze the worker, terminate the command": Fault(
        _both(_signal(WORKER, signal.SIGSTOP), _command(signal.SIGTERM)), SIGNAL_SECONDS
    ),
    "freeze the guard, interrupt the command": Fault(
        _both(_signal(GUARD, signal.SIGSTOP), _command(signal.SIGINT)), SIGNAL_SECONDS
    ),
    "kill Prefect's server": Fault(_signal(PREFECT, signal.SIGKILL), where=("alone",)),
    "freeze Prefect's server": Fault(_signal(PREFECT, signal.SIGSTOP), where=("alone",)),
    "freeze Prefect's server, hang up": Fault(
        _both(_signal(PREFECT, signal.SIGSTOP), _command(signal.SIGHUP)),
        SIGNAL_SECONDS,
        where=("alone",),
    ),
    **{
        f"the team's {what} server: {mode}": Fault(_team_server(what, mode), where=("team",))
        for what in SERVERS
        for mode in MODES
    },
    "power cut": Fault(_everything),
    "full disk": Fault(_full_disk, where=("alone",)),
    "hostile endpoint": Fault(_hostile),
}
