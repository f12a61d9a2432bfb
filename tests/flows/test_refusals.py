"""What is wrong is said before anything is started: one line, a remedy, no server, no run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PIXTRACK = Path(sys.executable).parent / "pixtrack"
HIDDEN = ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE", "MLFLOW_TRACKING_URI")


def refused(home: Path, *arguments: str, **more: str) -> str:
    """The one line that the command ends with; nothing of Prefect or of a run is in the home."""
    environment = {key: value for key, value in os.environ.items() if key not in HIDDEN}
    environment |= {"PIXTRACK_HOME": str(home / "data"), "HOME": str(home), **more}
    done = subprocess.run(
        [str(PIXTRACK), *arguments],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert not (home / "data" / "prefect").exists() and not (home / "data" / "runs").exists()
    return line


def study(home: Path, **keys: str) -> str:
    asked = {"title": "T", "models": "[pixtral-nano]", "datasets": "[sample]", **keys}
    (home / "mine.yaml").write_text("".join(f"{key}: {value}\n" for key, value in asked.items()))
    return str(home / "mine.yaml")


@pytest.mark.parametrize("uri", ["htp://server:5000", "http://127.0.0.1:9"])
def test_eval_and_study_name_a_tracking_store_that_cannot_be_used(tmp_path: Path, uri: str) -> None:
    for command in (
        ("eval", "--model", "pixtral-nano"),
        ("study", study(tmp_path)),
    ):
        line = refused(tmp_path, *command, MLFLOW_TRACKING_URI=uri)
        assert line.startswith(f"pixtrack: MLflow {'server' if '127' in uri else 'store'} {uri} ")
        assert "correct MLFLOW_TRACKING_URI, or unset that variable" in line
