"""The Makefile hands names on as data: neither make nor the shell runs what stands in one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

HOSTILE = [
    "x; touch {marker}",
    "$(touch {marker})",
    "`touch {marker}`",
    "$(shell touch {marker})",
    "x' ; touch {marker} ; '",
    'x" ; touch {marker} ; "',
    "x && touch {marker}",
    "x | tee {marker}",
    "${{IFS}}touch{marker}",
    "*",
    "two words",
]


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A stand-in for .venv, whose `pixtrack` writes down what it is given."""
    bin_folder = tmp_path / "venv" / "bin"
    bin_folder.mkdir(parents=True)
    program = bin_folder / "pixtrack"
    program.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/given\n")
    program.chmod(0o755)
    (tmp_path / "venv" / ".ready").touch()
    os.utime(tmp_path / "venv" / ".ready", (2**31, 2**31))  # newer than what it is made of
    return tmp_path / "venv"


def make(venv: Path, *arguments: str, **variables: str) -> list[str]:
    """What `pixtrack` was given by a target."""
    command = ["make", "-s", "-C", str(REPOSITORY), f"VENV={venv}", *arguments]
    # Where make runs the tests, its own options and variables (ARGS) are none of this make's.
    outer = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS"}
    kept = {name: value for name, value in os.environ.items() if name not in outer}
    done = subprocess.run(
        command, env={**kept, **variables}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return (venv.parent / "given").read_text().splitlines()


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    ("target", "name"),
    [("eval", "DATASET"), ("eval", "MODEL"), ("eval", "PROMPT"), ("eval", "LIMIT"),
     ("study", "STUDY"), ("check", "MODEL"), ("deploy", "PREFECT_PORT"), ("worker", "PREFECT_PORT")],
)  # fmt: skip
def test_a_name_is_never_run(venv: Path, tmp_path: Path, target: str, name: str, text: str) -> None:
    marker = tmp_path / "ran"
    value = text.format(marker=marker)
    given = make(venv, target, f"{name}={value}")
    assert value in given
    assert not marker.exists()


@pytest.mark.parametrize("text", HOSTILE)
def test_the_runs_to_compare_are_words_and_nothing_else(
    venv: Path, tmp_path: Path, text: str
) -> None:
    marker = tmp_path / "ran"
    value = text.format(marker=marker)
    assert make(venv, "compare", f"RUNS={value}") == ["compare", *value.split()]
    assert not marker.exists()


def test_what_is_typed_in_args_is_part_of_the_command(venv: Path) -> None:
    assert make(venv, "check", "ARGS=--json --model 'a b'") == ["check", "--json", "--model", "a b"]


def test_python_keeps_what_it_has_compiled(venv: Path) -> None:
    """Without, each start compiles the libraries anew: many images ask for that."""
    program = venv / "bin" / "pixtrack"
    program.write_text(
        f'#!/bin/sh\necho "${{PYTHONDONTWRITEBYTECODE-none}}" > {venv.parent}/given\n'
    )
    assert make(venv, "check", PYTHONDONTWRITEBYTECODE="1") == ["none"]
