"""`uvx pixtrack eval`: the wheel with what it needs, made by uv on the spot, in an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pixtrack.installed import REPOSITORY, VERSION

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def uv() -> str:
    """The program; it makes a first environment here, so that a missing network is a skip."""
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("uv is not installed")
    asked = subprocess.run(
        [found, "tool", "run", "--from", "iniconfig", "true"], capture_output=True
    )
    if b"Failed to fetch" in asked.stderr or b"error sending request" in asked.stderr:
        pytest.skip("uv reaches no package registry")
    return found


def uvx(
    uv: str, wheel: Path, work: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`uvx pixtrack …` from the wheel, with the tested versions of what it needs."""
    theirs = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIXTRACK_", "PREFECT_", "MLFLOW_", "PYTHON", "VIRTUAL_ENV"))
    }
    constraints = REPOSITORY / "constraints" / "cpu.txt"
    return subprocess.run(
        [
            uv, "tool", "run", "--python", f"{sys.version_info[0]}.{sys.version_info[1]}",
            "--constraints", str(constraints), "--from", str(wheel), "pixtrack", *arguments,
        ],
        cwd=work, env={**theirs, **variables}, capture_output=True, text=True, timeout=500,
    )  # fmt: skip


def test_without_an_engine_one_line_says_what_is_missing_and_how_to_get_it(
    uv: str, wheel: Path, tmp_path: Path
) -> None:
    assert uvx(uv, wheel, tmp_path, "--version").stdout == f"pixtrack {VERSION}\n"
    done = uvx(uv, wheel, tmp_path, "eval", "-n", "2")
    assert done.returncode == 2, done.stderr[-3000:]
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("pixtrack: engine: vLLM is not installed")
    assert "pip install 'pixtrack[" in last and "PIXTRACK_VLLM_PYTHON" in last


def test_with_the_engine_of_another_interpreter_it_evaluates(
    uv: str, wheel: Path, tmp_path: Path
) -> None:
    engine = os.environ.get("PIXTRACK_VLLM_PYTHON", sys.executable)
    done = uvx(uv, wheel, tmp_path, "eval", "-n", "20", "--json", PIXTRACK_VLLM_PYTHON=engine)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout)
    assert (summary["dataset"], summary["answered"], summary["status"]) == (
        "sample",
        20,
        "completed",
    )
    assert Path(summary["run_dir"]).is_relative_to(tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    record = json.loads((Path(summary["run_dir"]) / "run.json").read_text())
    assert (record["git_commit"], record["host"]["pixtrack"]) == ("", VERSION)
