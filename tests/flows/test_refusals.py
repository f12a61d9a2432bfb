"""What is wrong is said before any work: one line, a remedy, no run, and no server stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pixtrack.configs.paths import PACKAGE_ROOT

PIXTRACK = Path(sys.executable).parent / "pixtrack"
HIDDEN = ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE", "MLFLOW_TRACKING_URI")


def refused(home: Path, *arguments: str, **more: str) -> str:
    """The one line that the command ends with; there is no run, and nothing of it still runs."""
    environment = {key: value for key, value in os.environ.items() if key not in HIDDEN}
    environment |= {"PIXTRACK_HOME": str(home / "data"), "HOME": str(home), **more}
    done = subprocess.run(
        [str(PIXTRACK), *arguments],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 2 and done.stdout == ""
    said = done.stderr.splitlines()
    # Which file of the user's stands for a shipped one is said besides.
    (line,) = [one for one in said if "is used, not the shipped" not in one]
    assert not (home / "data" / "runs").exists()
    assert not [pid for pid in psutil.pids() if works_for(pid, home / "data")]
    return line


def works_for(pid: int, data: Path) -> bool:
    """Whether the process was started by a command with that data home."""
    try:
        return bool(psutil.Process(pid).environ().get("PIXTRACK_HOME") == str(data))
    except psutil.Error:
        return False


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


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"models": "[pixtral-nano, pixtral-12c]"}, "unknown model 'pixtral-12c'. Did you mean"),
        ({"datasets": "[sampel]"}, "unknown dataset 'sampel'. Did you mean 'sample'?"),
        ({"prompts": "[default, plane]"}, "unknown prompt 'plane'. Did you mean 'plain'?"),
        ({"baseline": "pixtral-12b"}, "unknown baseline 'pixtral-12b'."),
        ({"baseline": "pixtral-nano@plane"}, "unknown prompt of the baseline 'plane'."),
    ],
)
def test_a_study_with_an_unknown_name_starts_nothing(
    tmp_path: Path, keys: dict[str, str], said: str
) -> None:
    line = refused(tmp_path, "study", study(tmp_path, **keys))
    assert line.startswith(f"pixtrack: {tmp_path}/mine.yaml: {said}")
    assert not (tmp_path / "data" / "prefect").exists()


def test_a_study_with_a_metric_or_a_step_that_does_not_exist_starts_nothing(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE_ROOT / "configs", tmp_path / "configs")
    configs = {"PIXTRACK_CONFIGS": str(tmp_path / "configs")}
    sample = tmp_path / "configs" / "datasets" / "sample.yaml"
    plain = tmp_path / "configs" / "prompts" / "plain.yaml"
    kept = sample.read_text()
    sample.write_text(kept.replace("anls", "anlz"))
    assert "unknown metric of dataset 'sample' 'anlz'" in refused(
        tmp_path, "study", study(tmp_path), **configs
    )
    sample.write_text(kept)
    plain.write_text(plain.read_text().replace("[strip]", "[first_lin]"))
    assert "unknown postprocess step 'first_lin'. Did you mean 'first_line'?" in refused(
        tmp_path, "study", study(tmp_path), **configs
    )
