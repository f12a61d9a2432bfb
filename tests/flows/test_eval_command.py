"""`pixtrack eval` as a user runs it: the real engine, Prefect's real server, SQLite MLflow."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PIXTRACK = Path(sys.executable).parent / "pixtrack"


def pixtrack(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    hidden = ("PREFECT_API_URL", "PREFECT_HOME", "MLFLOW_TRACKING_URI")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    environment |= {"PIXTRACK_HOME": str(home), "HOME": str(home)}
    return subprocess.run(
        [str(PIXTRACK), *arguments], env=environment, capture_output=True, text=True, timeout=280
    )


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A data home after one evaluation of twelve questions, and the summary it printed."""
    home = tmp_path_factory.mktemp("eval")
    done = pixtrack(home, "eval", "--model", "pixtral-random", "--limit", "12", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    return home, json.loads(done.stdout)


@pytest.mark.engine
def test_json_prints_the_summary_and_nothing_else(evaluated: tuple[Path, dict[str, Any]]) -> None:
    _home, summary = evaluated
    assert summary["model"] == "pixtral-random"
    assert summary["dataset"] == "sample"
    assert (summary["n"], summary["answered"], summary["failed"]) == (12, 12, 0)
    headline = summary["metrics"][summary["headline"]]
    assert 0 <= headline["ci95"][0] <= headline["value"] <= headline["ci95"][1] <= 100
    assert summary["samples_per_s"] > 0
    assert summary["mlflow_run_id"]
    assert (Path(summary["run_dir"]) / "answers.jsonl").exists()


@pytest.mark.engine
def test_the_same_command_again_asks_nothing_and_shows_the_same_scores(
    evaluated: tuple[Path, dict[str, Any]],
) -> None:
    home, first = evaluated
    log = home / "logs" / "engine-pixtral-random.log"
    starts = log.read_text().count("Initializing a V1 LLM engine")
    done = pixtrack(home, "eval", "--model", "pixtral-random", "--limit", "12", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    again = json.loads(done.stdout)
    assert log.read_text().count("Initializing a V1 LLM engine") == starts == 1
    assert again["metrics"] == first["metrics"]
    assert again["mlflow_run_id"] == first["mlflow_run_id"]
    assert again["samples_per_s"] is None
    assert "already answered" in done.stderr


@pytest.mark.engine
def test_every_task_run_is_recorded_though_the_server_was_ours(
    evaluated: tuple[Path, dict[str, Any]],
) -> None:
    home, _summary = evaluated
    with sqlite3.connect(home / "prefect" / "prefect.db") as database:
        rows = database.execute("select name, state_type from task_run").fetchall()
    finished = {name.rsplit("-", 1)[0] for name, state in rows if state == "COMPLETED"}
    assert {
        "check environment", "fetch model files", "prepare dataset", "open run",
        "ask questions", "score answers", "log to MLflow",
    } <= finished  # fmt: skip
    assert all(state == "COMPLETED" for _name, state in rows)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--dataset", "sampel"), "unknown dataset 'sampel'. Did you mean 'sample'?"),
        (("--model", "pixtral-randum"), "Did you mean 'pixtral-random'?"),
        (("--prompt", "plane"), "unknown prompt 'plane'"),
    ],
)
def test_an_unknown_name_is_one_line_and_exit_2(
    tmp_path: Path, arguments: tuple[str, str], expected: str
) -> None:
    done = pixtrack(tmp_path, "eval", "--model", "pixtral-random", *arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_every_verb_has_a_line_of_help(tmp_path: Path) -> None:
    done = pixtrack(tmp_path, "--help")
    verbs = ["eval", "study", "compare", "runs", "datasets", "models", "check", "download",
             "describe", "tokens", "score", "sync", "import", "errors", "rescore", "ui"]  # fmt: skip
    for verb in verbs:
        assert f" {verb} " in done.stdout


def test_help_imports_nothing_that_takes_long() -> None:
    """So that it answers in a fraction of a second."""
    program = (
        "import sys; from pixtrack.flows.cli.main import main; sys.argv[1:] = ['--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "eval" in done.stdout
    slow = {"prefect", "mlflow", "pandas", "pyarrow", "scipy", "matplotlib", "torch", "vllm"}
    assert not slow & set(done.stdout.splitlines()[-1].split())
