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
"""The checkout, or the installed package: the folder that holds configs/ and experiments/."""

CHECKOUT = PACKAGE_ROOT if (PACKAGE_ROOT / "pyproject.toml").is_file() else None
"""The checkout whose files are running; None where pixtrack is installed from a wheel."""

IMPORT_ROOT = Path(pixtrack.__path__[0]).absolute().parent
"""The folder that has to be on sys.path for `import pixtrack`."""


@dataclass(frozen=True)
class Home:
    """The data home: what pixtrack writes lies under `root` (PIXTRACK_HOME, default ./data)."""

    root: Path

    @property
    def images(self) -> Path:
        """Image files under their content hash: ab/abcdef….png; shared by all datasets."""
        return self.root / "images"

    @property
    def pages(self) -> Path:
        """Pages of PDF documents, rendered: one folder a document and resolution."""
        return self.root / "pages"

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
    def compiled(self) -> Path:
        """What engines compiled for a model and a card, for their next start."""
        return self.root / "compiled"

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


def own_configs() -> Path:
    """The folder of the user's own models/, datasets/, prompts/, …, which need not exist.

    PIXTRACK_CONFIGS names it; by default it is `configs` in the data home. Raises UserError where
    PIXTRACK_CONFIGS names a folder that does not exist.
    """
    chosen = os.environ.get("PIXTRACK_CONFIGS")
    if not chosen:
        return home().root / "configs"
    folder = Path(chosen).expanduser().resolve()
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder: PIXTRACK_CONFIGS names it; make it, or unset that variable"
        )
    return folder


def config_folders() -> tuple[Path, ...]:
    """Where configurations are looked for: the user's own folder, then the shipped one."""
    return tuple(dict.fromkeys((own_configs(), SHIPPED_CONFIGS)))


def config_file(relative: str | Path) -> Path:
    """A file or folder of the configuration folders: the user's own before the shipped one.

    A path that is in neither is returned as it would be in the user's folder; an absolute path
    as it is.
    """
    places = [folder / relative for folder in config_folders()]
    return next((place for place in places if place.exists()), places[0])


def writable_configs() -> Path:
    """Where commands write configurations: PIXTRACK_CONFIGS, else the checkout's configs/, else
    `configs` in the data home. Never the installed package.
    """
    if CHECKOUT is not None and not os.environ.get("PIXTRACK_CONFIGS"):
        return SHIPPED_CONFIGS
    return own_configs()


def have_a_home() -> None:
    """Sets HOME where the user has none (a container's anonymous user): libraries fail without it.

    A folder in the data home takes its place, for this process and its children.
    """
    try:
        Path.home()
    except (RuntimeError, KeyError):
        os.environ["HOME"] = str(home().root / "user")
