"""The version that is running, and the commit of the checkout that its files lie in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pixtrack.configs.paths import CHECKOUT
from pixtrack.configs.version import version

_SET_BY_GIT_HOOKS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}
"""Variables with which git runs hooks; they name the hook's repository, which may be another
one."""


def git_commit() -> str:
    """The commit of the checkout that is running, with `+changes` where the tree differs from it.

    "" where pixtrack is installed from a wheel, or its files lie in a repository of somebody else:
    that repository's commit says nothing of them.
    """
    if CHECKOUT is None:
        return ""
    try:
        top, commit = _git(CHECKOUT, "rev-parse", "--show-toplevel", "HEAD").splitlines()
        if Path(top).resolve() != CHECKOUT:
            return ""
        changed = _git(CHECKOUT, "status", "--porcelain", "--untracked-files=no")
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return f"{commit}+changes" if changed else commit


def version_line() -> str:
    """The version, and of a checkout its commit: what was installed may be older than it."""
    commit = git_commit()
    short = commit[:12] + "+changes" * commit.endswith("+changes")
    return f"pixtrack {version()}" + (f" (checkout at {short})" if commit else "")


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={name: os.environ[name] for name in os.environ.keys() - _SET_BY_GIT_HOOKS},
        capture_output=True,
        text=True,
        timeout=5,
        check=True,
    ).stdout.strip()
