"""Finds engine processes that an earlier crash left running, which occupy GPU memory uselessly.

Called by the check of the machine before an engine starts. Engines that pixtrack started are ended
by their guard; others (of a plain `LLM(...)` that was killed) may outlive their parent.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import psutil

ENGINE_PREFIX = "VLLM::"
"""How the names of vLLM's engine processes begin (VLLM_PROCESS_NAME_PREFIX)."""
OUR_MODULES = ("pixtrack.tasks.inference.worker.main", "tasks/inference/host/guard.py")
SUBREAPERS = frozenset(
    {"systemd", "init", "tini", "dumb-init", "docker-init", "s6-svscan", "catatonit"}
)
"""Names of processes, besides process 1, that become the parents of orphaned processes."""
PROGRAMS = ("vllm", "pixtrack", "prefect", "python")


@dataclass(frozen=True)
class Stray:
    """A process of an engine that no program uses any more."""

    pid: int
    since: float
    """When it started: seconds since the epoch."""
    memory: int
    """Resident bytes, without memory on a GPU."""
    command: str

    @property
    def age_seconds(self) -> float:
        """Seconds since it started."""
        return max(0.0, time.time() - self.since)


def find_strays() -> list[Stray]:
    """The engine processes, pixtrack's and vLLM's of any user, whose owner has ended; oldest first.

    An engine process has an owner while one of its ancestors is a running program that is not an
    engine process itself: a flow, a server, a notebook.
    """
    processes = {}
    fields = ["pid", "ppid", "name", "cmdline", "create_time", "memory_info", "status"]
    for process in psutil.process_iter(fields):
        processes[process.pid] = process.info
    found = [
        Stray(
            pid=pid,
            since=info["create_time"] or 0.0,
            memory=info["memory_info"].rss if info["memory_info"] else 0,
            command=_command(info)[:200],
        )
        for pid, info in processes.items()
        if _is_engine(info)
        and info["status"] != psutil.STATUS_ZOMBIE
        and pid != os.getpid()
        and not _has_owner(info, processes)
    ]
    return sorted(found, key=lambda stray: stray.since)


def _command(info: dict[str, Any]) -> str:
    return " ".join(info["cmdline"] or ()).strip() or info["name"] or ""


def _is_engine(info: dict[str, Any]) -> bool:
    command = _command(info)
    if command.startswith(ENGINE_PREFIX):
        return True
    arguments = info["cmdline"] or ()
    program = os.path.basename(arguments[0]) if arguments else ""  # noqa: PTH119
    # A shell or an editor may have the module's name among its arguments, too.
    return program.startswith("python") and any(
        argument == module or argument.endswith(module)
        for module in OUR_MODULES
        for argument in arguments
    )


def _has_owner(info: dict[str, Any], processes: dict[int, dict[str, Any]]) -> bool:
    seen = {info["pid"]}
    while True:
        parent = processes.get(info["ppid"])
        if parent is None or parent["pid"] in seen:
            return False
        if not _is_engine(parent):
            return not _takes_orphans(parent)
        seen.add(parent["pid"])
        info = parent


def _takes_orphans(info: dict[str, Any]) -> bool:
    if info["pid"] == 1:
        # A program that is process 1 of its container may own its engine.
        return not any(word in _command(info).lower() for word in PROGRAMS)
    return info["name"] in SUBREAPERS
