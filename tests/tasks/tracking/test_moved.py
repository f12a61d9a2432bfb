"""A data home that was moved or copied: MLflow reads the artifacts that lie in it now."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from pixtrack.configs.paths import Home
from pixtrack.flows.cli.main import app
from pixtrack.tasks import tracking
from pixtrack.tasks.servers.launcher import HOST, free_port
from pixtrack.tasks.tracking.connection import client, local_uri
from pixtrack.tasks.tracking.moved import follow_the_move
from pixtrack.tasks.tracking.server import serve
from tests.doubles.finished_runs import finished_run
from tests.doubles.synthetic_runs import DatasetFactory


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two logged runs, to be copied: making it takes seconds."""
    home = Home(tmp_path_factory.mktemp("first") / "a home")
    dataset = DatasetFactory(home, questions=24, images=6, pixels=(160, 200))
    for model, skill in (("pixtral-12b", 0.0), ("qwen2.5-vl-7b", 2.0)):
        finished_run(dataset, model, skill=skill)
    # By a process of its own: MLflow's tracing remembers a process's first store.
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    subprocess.run(
        [sys.executable, "-m", "pixtrack.flows.cli.main", "sync"],
        env={**environment, "PIXTRACK_HOME": str(home.root)},
        check=True,
    )
    return home.root


@pytest.fixture
def moved(logged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """That home at another place, in use; the first place is gone, and comes back."""
    home = Home(tmp_path / "moved home")
    shutil.copytree(logged, home.root)
    away = logged.with_name("away")
    logged.rename(away)
    monkeypatch.setenv("PIXTRACK_HOME", str(home.root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield home
    assert not logged.exists(), "written at the place that the home was moved away from"
    away.rename(logged)


def pixtrack(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def run_ids() -> list[str]:
    return [row["mlflow_run_id"] for row in json.loads(pixtrack("runs", "--json"))]


def places(database: Path) -> list[str]:
    with sqlite3.connect(database) as store:
        return [
            str(value)
            for query in (
                "SELECT artifact_location FROM experiments WHERE name != 'Default'",
                "SELECT artifact_uri FROM runs",
                "SELECT artifact_location FROM logged_models",
                "SELECT value FROM trace_tags WHERE key = 'mlflow.artifactLocation'",
            )
            for (value,) in store.execute(query)
        ]


def test_a_moved_homes_artifacts_are_read_and_written_where_it_is_now(
    moved: Home, tmp_path: Path
) -> None:
    tracking.check_store()
    root = moved.mlflow_artifacts.as_uri()
    assert "moved%20home" in root
    assert all(place.startswith(f"{root}/") for place in places(moved.mlflow_db))
    mlflow = client(local_uri(moved))
    for run_id in run_ids():
        summary = Path(mlflow.download_artifacts(run_id, "summary.json", str(tmp_path)))
        assert json.loads(summary.read_text())["answered"] == 24
    told = json.loads(pixtrack("compare", "pixtral-12b", "qwen2.5-vl-7b", "--json"))
    assert told["link"] and told["directory"].startswith(str(moved.root))
    comparisons = mlflow.get_experiment_by_name("comparisons")
    assert comparisons.artifact_location == f"{root}/comparisons"
    pixtrack("sync")
    assert len(run_ids()) == 2


@pytest.mark.server
def test_the_interface_of_a_moved_home_serves_its_artifacts(moved: Home, tmp_path: Path) -> None:
    port = free_port(0)
    with serve(local_uri(moved), port, tmp_path / "mlflow.log"):
        for run_id in run_ids():
            found = httpx.get(
                f"http://{HOST}:{port}/get-artifact",
                params={"path": "summary.json", "run_uuid": run_id},
            )
            assert found.status_code == 200 and found.json()["answered"] == 24


def test_a_copy_reads_and_keeps_its_own_files(
    logged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Home(tmp_path / "copy")
    shutil.copytree(logged, copy.root)
    monkeypatch.setenv("PIXTRACK_HOME", str(copy.root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = places(logged / "mlflow.db")
    files = sorted(logged.rglob("*"))
    tracking.check_store()
    assert all(one.startswith(copy.mlflow_artifacts.as_uri()) for one in places(copy.mlflow_db))
    assert (places(logged / "mlflow.db"), sorted(logged.rglob("*"))) == (before, files)


def test_a_home_under_two_names_and_artifacts_left_at_the_old_place_are_left_alone(
    logged: Path, tmp_path: Path
) -> None:
    before = places(logged / "mlflow.db")
    (tmp_path / "link").symlink_to(logged)
    follow_the_move(tmp_path / "link" / "mlflow.db")
    assert places(logged / "mlflow.db") == before
    shutil.copy(logged / "mlflow.db", tmp_path / "mlflow.db")
    follow_the_move(tmp_path / "mlflow.db")
    assert places(tmp_path / "mlflow.db") == before


def test_a_file_that_is_no_store_of_ours_is_left_to_mlflow(tmp_path: Path) -> None:
    follow_the_move(tmp_path / "none.db")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE things (x)")
    follow_the_move(tmp_path / "other.db")


def test_experiments_of_others_in_the_same_database_keep_their_artifacts(tmp_path: Path) -> None:
    """MLflow's own folder for artifacts has the name of ours, but an experiment's number in it."""
    theirs = tmp_path / "elsewhere" / "mlartifacts" / "7"
    theirs.mkdir(parents=True)
    database = tmp_path / "here" / "mlflow.db"
    (database.parent / "mlartifacts").mkdir(parents=True)
    with sqlite3.connect(database) as store:
        store.execute("CREATE TABLE experiments (name, artifact_location)")
        store.execute("CREATE TABLE runs (artifact_uri)")
        store.execute("INSERT INTO experiments VALUES ('a study', ?)", (theirs.as_uri(),))
    follow_the_move(database)
    with sqlite3.connect(database) as store:
        found = store.execute("SELECT artifact_location FROM experiments").fetchall()
    assert found == [(theirs.as_uri(),)]
