"""Where things lie: the data home and the configuration folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pixtrack
from pixtrack.configs.errors import UserError

SHIPPED_CONFIGS = Path(__file__).resolve().parent
"""The models, datasets and prompts that come with pixtrack."""

PACKAGE_ROOT = SHIPPED_CONFIGS.parent
"""The checkout, or the installed package: the folder that holds configs/."""

IMPORT_ROOT = Path(pixtrack.__path__[0]).absolute().parent
"""The folder that has to be on sys.path for `import pixtrack`."""


@dataclass(frozen=True)
class Home:
    """The data home: everything pixtrack writes lies under `root` (PIXTRACK_HOME, default ./data)."""

    root: Path

    @property
    def images(self) -> Path:
        """Image files under their content hash: ab/abcdef….png; shared by all datasets."""
        return self.root / "images"

    @property
    def datasets(self) -> Path:
        """Prepared datasets: one folder a dataset, with samples.parquet and dataset.json."""
        return self.root / "datasets"

    @property
    def models(self) -> Path:
        """Model files, one folder a model."""
        return self.root / "models"

    @property
    def runs(self) -> Path:
        """Run directories: runs/DATASET/RUN_NAME/."""
        return self.root / "runs"

    @property
    def comparisons(self) -> Path:
        """Comparison reports, one folder each."""
        return self.root / "comparisons"

    @property
    def mlflow_db(self) -> Path:
        """The default MLflow backend store (SQLite)."""
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """The default MLflow artifact store."""
        return self.root / "mlartifacts"

    @property
    def prefect(self) -> Path:
        """Prefect's home for flows that run without a server."""
        return self.root / "prefect"


def home() -> Home:
    """The data home of this process, absolute."""
    return Home(Path(os.environ.get("PIXTRACK_HOME") or "data").expanduser().resolve())


def config_dir() -> Path:
    """The folder with models/, datasets/ and prompts/ (PIXTRACK_CONFIGS, default the project's configs/)."""
    chosen = os.environ.get("PIXTRACK_CONFIGS")
    if not chosen:
        return SHIPPED_CONFIGS
    folder = Path(chosen).expanduser().resolve()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder: PIXTRACK_CONFIGS names it")
    return folder


def have_a_home() -> None:
    """Sets HOME where the user has none (a container's anonymous user): libraries fail without it.

    A folder in the data home takes its place, for this process and its children.
    """
    try:
        Path.home()
    except (RuntimeError, KeyError):
        os.environ["HOME"] = str(home().root / "user")
