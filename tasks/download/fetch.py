"""From a model's configuration to a directory with its files, complete and verified."""

from __future__ import annotations

from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download.model_sources import Fetching, files_of
from pixtrack.tasks.download.model_sources.base import SourceName
from pixtrack.tasks.transfer import Progress

__all__ = [
    "SourceName",
    "fetch_model",
    "local_files",
    "model_directory",
    "model_identity",
    "verify_model",
]


def model_directory(config: ModelConfig, home: Home, model_dir: Path | None = None) -> Path:
    """Where the model's files are, or will be; `model_dir` (--model-dir) overrides all else."""
    return files_of(config, model_dir).directory(home)


def local_files(config: ModelConfig, home: Home, model_dir: Path | None = None) -> Path | None:
    """The model's directory if its files are complete on this machine; else None.

    Uses no network and reads headers only. A download counts once it has been verified. A model
    behind an endpoint has no files, so the result is None.
    """
    return files_of(config, model_dir).here(home)


def fetch_model(
    config: ModelConfig,
    home: Home,
    model_dir: Path | None = None,
    progress: Progress | None = None,
    *,
    source: SourceName | None = None,
    refresh: bool = False,
) -> Path:
    """The directory with the model's files: downloaded if need be, complete and verified.

    Args:
        config: the model
        home: the data home that downloads go to
        model_dir: a copy that somebody else made: checked for completeness, never changed
        progress: called with the bytes present so far and the bytes in all
        source: "huggingface" or "modelscope"; None: as PIXTRACK_MODEL_SOURCE says, else the hub
        refresh: resolves an unpinned revision again, in place of the commit found earlier

    Raises:
        UserError: files are missing, truncated or of the wrong format, or cannot be fetched
    """
    return files_of(config, model_dir).fetch(home, Fetching(progress, source, refresh))


def model_identity(
    config: ModelConfig,
    files: Path | None,
    home: Home,
    progress: Progress | None = None,
) -> dict[str, str]:
    """What identifies a model in a run's fingerprint.

    For files it is a digest over their names and contents; for an endpoint its address, without
    the secret parts, and the name of the model that it serves.

    Args:
        config: the model
        files: the directory from `fetch_model`; None where the model has no files
        home: the data home, which keeps digests
        progress: called while files are hashed
    """
    return files_of(config, files).identity(home, progress)


def verify_model(
    config: ModelConfig,
    home: Home,
    model_dir: Path | None = None,
    progress: Progress | None = None,
) -> tuple[list[str], int]:
    """Reads the model's files whole and checks them.

    Returns what is wrong, one line for each file, and how many files were compared by sha256.
    Raises UserError for a model behind an endpoint.
    """
    return files_of(config, model_dir).verify(home, progress)
