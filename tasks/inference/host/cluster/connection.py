"""The way into a Ray cluster: one that is named, one that runs here, or one of our own.

Whatever keeps a command from it is one line with the remedy, before any work.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

from pixtrack.configs.errors import UserError

REACH_SECONDS = 5.0
"""For the named cluster to take a connection; Ray itself would try for a minute."""
DEFAULT_PORT = 6379

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}

_lock = threading.Lock()
_users = 0
_connected_to: str | None = None


def ray_module() -> Any:
    """The module `ray`. Raises UserError where the extra is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UserError(
            "several replicas, and --cluster, need Ray, which is not installed: "
            "pip install 'pixtrack[ray]', on every node of a cluster"
        )
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray").setLevel(logging.ERROR)
    import ray

    return ray


def running_here() -> bool:
    """Whether this machine belongs to a Ray that `ray start` started, or RAY_ADDRESS is set."""
    if os.environ.get("RAY_ADDRESS"):
        return True
    ray_module()
    from ray._private.services import find_bootstrap_address

    host, _, port = str(find_bootstrap_address(None) or "").rpartition(":")
    if not port.isdigit():
        return False
    try:
        with socket.create_connection((host, int(port)), 1.0):
            return True
    except OSError:
        return False


def connect(address: str, gpus: int = 0, cpus: int = 1) -> None:
    """Connects this process; to be followed by `disconnect` as often as it is called.

    `address` is HOST:PORT of a cluster's head, "auto" for the one that this machine belongs to, or
    "" for a Ray of our own with these resources, which ends with this process.

    Raises UserError where there is no cluster, or one of another version, Python or login.
    """
    global _users, _connected_to
    ray = ray_module()
    with _lock:
        if _users and _connected_to != address:
            raise UserError(
                f"--cluster {address or '(none)'}: this command uses {_connected_to or 'its own'}"
            )
        if not _users:
            with _own_signals(), _as_user_errors(address):
                if address:
                    _join(ray, address)
                else:
                    _start(ray, gpus, cpus)
            _connected_to = address
        _users += 1


def disconnect() -> None:
    """Takes one `connect` back; the last one ends the connection, and a Ray of our own."""
    global _users
    with _lock:
        if not _users:
            return
        _users -= 1
        if not _users:
            with _own_signals():
                ray_module().shutdown()


def _start(ray: Any, gpus: int, cpus: int) -> None:
    ray.init(
        address="local",
        num_gpus=gpus,
        num_cpus=cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=100 * 1024 * 1024,  # images go through it, one batch at a time
    )


def _join(ray: Any, address: str) -> None:
    if "://" in address:
        raise UserError(
            f"--cluster {address}: name it as HOST:PORT, as `ray start --head` prints it, and run "
            "this command on one of its machines (Ray's client cannot place engines)"
        )
    if address != "auto":
        address = _reachable(address)
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)


def _reachable(address: str) -> str:
    """The address with its port. Raises UserError where nobody listens there."""
    host, _, port = address.rpartition(":") if ":" in address else (address, "", str(DEFAULT_PORT))
    if not port.isdigit():
        raise UserError(f"--cluster {address}: expected HOST:PORT, as `ray start --head` prints it")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS):
            pass
    except OSError as error:
        why = error.strerror or str(error) or "no answer"
        raise UserError(
            f"--cluster {address}: no Ray there ({why}): start one with `ray start --head` on the "
            f"first machine and `ray start --address {host}:{port}` on the others"
        ) from None
    return f"{host}:{port}"


@contextlib.contextmanager
def _as_user_errors(address: str) -> Iterator[None]:
    """Ray's own refusals, each as one line with its remedy."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"--cluster {address or '(a Ray of our own)'}: {_said(error)}") from None


def _said(error: Exception) -> str:
    text = str(error)
    found = re.findall(r"(Ray|Python): (\S+)", text)
    if "ersion mismatch" in text and len(found) >= 4:
        theirs, ours = dict(found[:2]), dict(found[2:4])
        return (
            f"it runs Ray {theirs['Ray']} under Python {theirs['Python']}, this is Ray {ours['Ray']} "
            f"under Python {ours['Python']}: install the same on every machine "
            "(pip install 'pixtrack[ray]')"
        )
    if type(error).__name__ == "AuthenticationError" or "token" in text.lower():
        return (
            "it wants a token that this machine does not have: copy ~/.ray/auth_token from the "
            "machine of `ray start --head` to every other one"
        )
    line = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    if isinstance(error, ConnectionError) or "ould not find any running Ray" in text:
        return f"no Ray runs here ({line}): start one with `ray start --head`"
    if "node ip" in text.lower() or "raylet" in text.lower():
        return (
            f"{line}: this machine is none of the cluster's: run the command on one of them, or "
            "`ray start --address` here first"
        )
    return line


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; ours unwinds the stack, which closes everything."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
