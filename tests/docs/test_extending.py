"""What docs/extending.md says to do works when it is done, word for word."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pixtrack.installed import REPOSITORY, source_files

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of the page."""

    language: str
    file: str
    text: str


def blocks() -> list[Block]:
    text = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
    return [Block(*found.groups(default="")) for found in BLOCK.finditer(text)]


def insert(file: Path, diff: str) -> None:
    """Puts the lines with + behind the line before them, which is in the file exactly once."""
    lines = diff.splitlines()
    anchor = "\n".join(line[1:] for line in lines if line.startswith(" "))
    added = "\n".join(line[1:] for line in lines if line.startswith("+"))
    text = file.read_text(encoding="utf-8")
    found = [
        at
        for at in re.finditer(re.escape(anchor), text)
        if text[at.start() - 1 : at.start()] == "\n"
    ]
    assert len(found) == 1, f"{file.name}: {anchor!r} is there {len(found)} times"
    end = found[0].end()
    # Of a table that stands on one line, the rest of the line comes after what is added.
    file.write_text(f"{text[:end]}\n{added}{text[end:]}", encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with everything of the page done to it."""
    root = tmp_path_factory.mktemp("extended")
    for name in source_files():
        if name.startswith(("tests/", "bench/", "experiments/pixtral_nano/")):
            continue
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, root / name, follow_symlinks=False)
    for block in blocks():
        if block.language == "diff":
            insert(root / block.file, block.text)
        elif block.file:
            (root / block.file).write_text(block.text, encoding="utf-8")
    return root


def run(copy: Path, command: str, prefect_api: str) -> subprocess.CompletedProcess[str]:
    """A command of the page, with the copy's pixtrack."""
    program, *arguments = shlex.split(command)
    assert program == "pixtrack"
    kept = ("PIXTRACK_", "PREFECT_", "MLFLOW_", "PYTHON")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(kept)}
    return subprocess.run(
        [sys.executable, "-m", "pixtrack", *arguments],
        cwd=copy,
        env={
            **environment, "PYTHONPATH": str(copy), "PIXTRACK_HOME": str(copy / "data"),
            "PREFECT_API_URL": prefect_api,
        },
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def test_the_page_names_a_file_for_every_kind_of_thing() -> None:
    folders = {Path(block.file).parent.as_posix() for block in blocks() if block.file}
    assert folders >= {
        "tasks/scoring", "tasks/datasets/formats", "tasks/datasets/sources", "configs/datasets",
        "tasks/inference/engines", "tasks/download/model_sources", "configs/models",
    }  # fmt: skip


def test_what_is_added_passes_the_linter(copy: Path) -> None:
    added = [block.file for block in blocks() if block.language == "python"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *added], cwd=copy, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_of_the_page_work(copy: Path, prefect_api: str) -> None:
    commands = [
        line for block in blocks() if block.language == "sh" for line in block.text.splitlines()
    ]
    assert len(commands) >= 6
    for command in commands:
        done = run(copy, command, prefect_api)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr[-3000:]}"
    scored = run(copy, "pixtrack runs --json", prefect_api).stdout
    assert "parrot" in scored and "tiny" in scored and "widths" in scored
    assert "same_length" in run(copy, "pixtrack runs show parrot@tiny", prefect_api).stdout
