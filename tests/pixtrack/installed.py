"""Builds the wheel of the files as they are, and installs it where no checkout is near."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

VERSION = "9.8.7"
"""What the built wheel calls itself: the copy that it is built from has no tags."""


def source_files() -> list[str]:
    """Every file that git tracks or would, relative to the repository; links as links."""
    listed = subprocess.run(
        [
            "git",
            "-C",
            str(REPOSITORY),
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [name for name in listed.split("\0") if name and os.path.lexists(REPOSITORY / name)]


def build_wheel(folder: Path) -> Path:
    """The wheel of a copy of the repository's files: building leaves files beside its sources."""
    copy = folder / "source"
    for name in source_files():
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target, follow_symlinks=False)
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", str(copy),
            "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(folder / "dist"),
        ],
        env={**os.environ, "SETUPTOOLS_SCM_PRETEND_VERSION": VERSION},
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@dataclass
class Installed:
    """A wheel's files in a folder of their own, and an empty folder to work in."""

    packages: Path
    work: Path

    def run(
        self, *arguments: str, timeout: float = 240, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """`pixtrack …`, by this interpreter with the installed files before all others."""
        return subprocess.run(
            [sys.executable, "-m", "pixtrack", *arguments],
            cwd=self.work,
            env={**self.environment(), **variables},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def environment(self) -> dict[str, str]:
        """What a user has who has set nothing."""
        theirs = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PIXTRACK_", "PREFECT_", "MLFLOW_", "PYTHON"))
        }
        return {**theirs, "PYTHONPATH": str(self.packages), "PYTHONSAFEPATH": "1"}

    def listing(self) -> set[str]:
        """Every installed file, without what Python compiled."""
        return {
            str(path.relative_to(self.packages))
            for path in self.packages.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }


def install(wheel: Path, folder: Path) -> Installed:
    """Installs the wheel's own files, and nothing that it needs."""
    packages, work = folder / "packages", folder / "work"
    work.mkdir(parents=True)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index",
            "--target", str(packages), str(wheel),
        ],
        check=True, timeout=120,
    )  # fmt: skip
    return Installed(packages, work)
