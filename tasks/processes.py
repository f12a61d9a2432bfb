"""Makes child processes end with their parent, and ends process groups as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

_LOOK_EVERY_SECONDS = 0.05


def die_with_parent() -> None:
    """On Linux, makes the kernel send this process SIGTERM when its parent dies in any way.

    Does nothing on other systems.
    """
    import ctypes

    pr_set_pdeathsig = 1
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def processor_ticks(session: int) -> int | None:
    """How much a session's processes have computed, in the kernel's ticks; None where unknown."""
    ticks = None
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks = (ticks or 0) + int(fields[11]) + int(fields[12])
    return ticks


def stop(process: subprocess.Popen[bytes], seconds: float = 5.0) -> None:
    """Ends a child and its process group by SIGTERM, and by SIGKILL after `seconds`."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def end_session(pid: int, seconds: float = 5.0) -> None:
    """Ends the group of a process that is no child of this one: SIGTERM, then SIGKILL."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                os.killpg(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(_LOOK_EVERY_SECONDS)
