"""Names processes so that another process can find out later whether they still run."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil


def owner(pid: int | None = None) -> str:
    """The name of a process (None: this one): host, boot, process id and time of its start."""
    process = psutil.Process(pid)
    return f"{socket.gethostname()} {_boot_id()} {process.pid} {process.create_time():.2f}"


def owner_is_dead(named: str) -> bool:
    """Whether the process of an `owner()` has ended; False for another host, where it is
    unknown.
    """
    try:
        host, boot, pid, started = named.split()
        if host != socket.gethostname():
            return False
        if boot != _boot_id():
            return True
        process = psutil.Process(int(pid))
        reused = abs(process.create_time() - float(started)) > 1
        return bool(reused or process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except (ValueError, psutil.AccessDenied):
        return False


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{psutil.boot_time():.0f}"
