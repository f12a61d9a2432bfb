"""`make setup`: uv where it is to be had, pip where not, and torch by pip's own configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A stand-in for an environment: its programs write down how they were called."""
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    log = tmp_path / "log"
    program(folder / "python", f'echo "python $@" >> {log}\n[ "$1" = -c ] && exit 1\nexit 0')
    program(folder / "pixtrack", "exit 0")
    return tmp_path / "venv"


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def setup(venv: Path, *arguments: str, uv: str | None, **more: str) -> tuple[int, str, list[str]]:
    """Exit code, output, and the calls of the stand-ins, in order."""
    tools = venv.parent / "tools"
    tools.mkdir(exist_ok=True)
    if uv is not None:
        program(tools / "uv", f'echo "uv $@" >> {venv.parent}/log\necho "uv says no"\n{uv}')
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / ".ci" / "setup.py"), "--venv", str(venv), *arguments],
        env={**os.environ, "PATH": f"{tools}:/usr/bin:/bin", **more}, cwd=REPOSITORY,
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    log = venv.parent / "log"
    return done.returncode, done.stdout, log.read_text().splitlines() if log.exists() else []


def test_uv_installs_with_the_constraints_and_torch_is_fetched_by_pip(venv: Path) -> None:
    code, said, calls = setup(venv, "--extra", "cpu", uv="exit 0")
    assert code == 0 and said.splitlines()[-1].startswith("setup: done (cpu, ")
    (download,) = [call for call in calls if "pip download" in call]
    assert "--no-deps" in download and download.endswith("torch==2.13.0+cpu")
    assert calls[-1].startswith("uv pip install --python ")
    assert ".[cpu,dev] -c constraints/cpu.txt" in calls[-1]


def test_pip_goes_on_where_uv_fails_and_the_reason_is_shown(venv: Path) -> None:
    code, said, calls = setup(venv, "--extra", "cuda", uv="exit 1")
    assert code == 0 and "uv says no" in said
    assert calls[-1] == "python -m pip install -e .[cuda,dev] -c constraints/cuda.txt"


def test_without_uv_and_without_a_way_to_fetch_it_pip_installs(venv: Path) -> None:
    log = venv.parent / "log"
    program(venv / "bin" / "python", f'echo "python $@" >> {log}\n[ "$5" != uv ]')
    code, _, calls = setup(venv, "--extra", "none", uv=None)
    assert code == 0
    assert calls == ["python -m pip install -q uv", "python -m pip install -e .[dev]"]


def test_pytorchs_own_index_is_asked_where_the_registry_has_no_cpu_build(venv: Path) -> None:
    log = venv.parent / "log"
    program(
        venv / "bin" / "python",
        f'echo "python $@" >> {log}\n[ "$1" != -c ] || exit 1\n'
        '[ "$3" != download ] && exit 0\ncase "$*" in *--extra-index-url*) exit 0;; esac\nexit 1',
    )
    index = "http://wheels.example"
    code, said, calls = setup(venv, "--extra", "cpu", "--torch-index", index, uv="exit 0")
    assert code == 0 and f"asking {index}" in said
    assert any(f"{index} " in f"{call} " and "torchvision" in call for call in calls)


def test_a_failed_installation_is_a_failed_setup_with_what_was_said(venv: Path) -> None:
    log = venv.parent / "log"
    program(
        venv / "bin" / "python",
        f'echo "python $@" >> {log}\necho "no space left"\n[ "$3" != install ]',
    )
    code, said, _ = setup(venv, "--extra", "none", uv="exit 1")
    assert code == 1 and "no space left" in said


def test_an_extra_that_does_not_exist_is_named(venv: Path) -> None:
    code, said, _ = setup(venv, "--extra", "rocm", uv="exit 0")
    assert (code, said) == (2, "EXTRA is cpu, cuda or none, not 'rocm'\n")
