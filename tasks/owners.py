"""Names a process so that another one can tell later whether it still lives."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil


def owner(pid: int | None = None) -> str:
    """Host, boot, process number and the process's start, of this process or of that one."""
    process = psutil.Process(pid)
    return f"{socket.gethostname()} {_boot_id()} {process.pid} {process.create_time():.2f}"


def owner_is_dead(named: str) -> bool:
    """Whether the process of that `owner()` has certainly ended; a foreign host's never has."""
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
