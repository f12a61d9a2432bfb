"""One SQLite store a module: making its tables takes a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.tracking.connection import client, local_uri
from tests.doubles.synthetic_runs import DatasetFactory

TRACKING = """
traces: {failures: 5, random: 3}
system_metrics: {every_seconds: 0.05}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A data home of the module's own, with few traces a run."""
    root = tmp_path_factory.mktemp("home")
    configs = tmp_path_factory.mktemp("configs")
    (configs / "tracking.yaml").write_text(TRACKING, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXTRACK_HOME", str(root))
        patch.setenv("PIXTRACK_CONFIGS", str(configs))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield Home(root)


@pytest.fixture(scope="module")
def mlflow(home: Home) -> Any:
    """A client of the module's store, to see what was logged."""
    return client(local_uri(home))


@pytest.fixture
def dataset(home: Home, request: pytest.FixtureRequest) -> DatasetFactory:
    """Forty questions on ten images; a dataset (an MLflow experiment) of each test's own."""
    name = request.node.name.removeprefix("test_")[:40].strip("_")
    return DatasetFactory(home, name=name, questions=40, images=10, pixels=(200, 260))


def artifact(mlflow: Any, run_id: str, name: str, folder: Path) -> str:
    """The text of a logged file."""
    path = mlflow.download_artifacts(run_id, name, str(folder))
    return Path(path).read_text(encoding="utf-8")
