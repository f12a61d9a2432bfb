"""Checks of the machine around the cards: system, memory, disk, shared memory, hub, stray
engines.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from pixtrack.configs.paths import Home
from pixtrack.tasks.download import hub_endpoint, offline
from pixtrack.tasks.environment.cards import GIB
from pixtrack.tasks.environment.report import Check, failed, ok, warning
from pixtrack.tasks.environment.strays import find_strays

HUB_TIMEOUT_SECONDS = 3
LEAST_SHARED_BYTES = GIB
"""An engine's processes exchange tensors through /dev/shm and fail with a container's default of
64 MB."""
LEAST_DISK_BYTES = 10_000_000_000
SHARED_MEMORY = Path("/dev/shm")


def system() -> Check:
    """The operating system; vLLM runs on Linux."""
    detail = f"{platform.system()} {platform.release()}, {_distribution()}, {platform.machine()}"
    if sys.platform != "linux":
        return failed("operating system", detail, "vLLM needs Linux: use an endpoint from here")
    return ok("operating system", detail)


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "unknown distribution"


def python() -> Check:
    """The interpreter that runs this program."""
    version = platform.python_version()
    if sys.version_info < (3, 11):
        return warning(
            "python", version, "pixtrack needs Python 3.11 or 3.12; only this check runs with 3.10"
        )
    return ok("python", version)


def memory() -> Check:
    """RAM, and how much of it is free."""
    now = psutil.virtual_memory()
    detail = f"{now.total / GIB:.1f} GiB, {now.available / GIB:.1f} GiB available"
    if now.available < 4 * GIB:
        return warning("memory", detail, "less than 4 GiB are available: close other programs")
    return ok("memory", f"{detail}, {len(os.sched_getaffinity(0))} CPU cores")


def disk(home: Home, needed_bytes: float = 0) -> Check:
    """The disk of the data home; `needed_bytes` are still to be downloaded."""
    folder = home.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{home.root}: {free / 1e9:.1f} GB free"
    if not os.access(folder, os.W_OK):
        return failed("disk", f"{folder} cannot be written", "set PIXTRACK_HOME to another folder")
    if needed_bytes and needed_bytes > free:
        return failed(
            "disk",
            f"{detail}, {needed_bytes / 1e9:.1f} GB are needed for the model",
            "free space, or set PIXTRACK_HOME to a larger disk",
        )
    if free < LEAST_DISK_BYTES:
        return warning("disk", detail, "datasets and models take tens of GB: set PIXTRACK_HOME")
    return ok("disk", detail)


def shared_memory() -> Check:
    """/dev/shm, through which an engine's processes talk."""
    if not SHARED_MEMORY.is_dir():
        return warning("shared memory", f"no {SHARED_MEMORY}", "mount a tmpfs there")
    usage = shutil.disk_usage(SHARED_MEMORY)
    detail = f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free"
    if usage.free < LEAST_SHARED_BYTES:
        return warning(
            "shared memory",
            detail,
            "several cards or processes may stop: in a container use --ipc=host or --shm-size=8g",
        )
    return ok("shared memory", detail)


def hub() -> Check:
    """Whether the hub, or the mirror that HF_ENDPOINT names, answers."""
    endpoint = hub_endpoint()
    host = urlsplit(endpoint).netloc or endpoint
    if offline():
        return ok("hub", "HF_HUB_OFFLINE is set: only what is here already is used")
    try:
        request = urllib.request.Request(f"{endpoint}/api/models?limit=1", method="HEAD")
        with urllib.request.urlopen(request, timeout=HUB_TIMEOUT_SECONDS):
            pass
    except urllib.error.HTTPError:
        pass  # an error status is an answer too
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return warning(
            "hub",
            f"{host} cannot be reached ({reason})",
            "only downloaded models and the generated sample work: check the network, set "
            "HF_ENDPOINT to a mirror, or HF_HUB_OFFLINE=1",
        )
    token = "HF_TOKEN is set" if os.environ.get("HF_TOKEN") else "no HF_TOKEN"
    return ok("hub", f"{host} answers, {token}")


def strays() -> Check:
    """Engines that an earlier crash left running, which hold memory that the next one needs."""
    found = find_strays()
    if not found:
        return ok("stray engines", "none")
    names = "; ".join(
        f"pid {s.pid} ({s.command[:60]}), {s.age_seconds / 60:.0f} min old, "
        f"{s.memory / GIB:.1f} GiB of RAM"
        for s in found
    )
    pids = " ".join(str(stray.pid) for stray in found)
    return warning("stray engines", names, f"end them: kill {pids}")
