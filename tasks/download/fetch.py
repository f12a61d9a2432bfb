"""From a model's configuration to a directory with its files, whole and verified."""

from __future__ import annotations

from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download.model_sources import Fetching, files_of
from pixtrack.tasks.download.model_sources.base import SourceName
from pixtrack.tasks.transfer import Progress

__all__ = ["SourceName", "fetch_model", "local_files", "model_directory"]


def model_directory(config: ModelConfig, home: Home, model_dir: Path | None = None) -> Path:
    """Where the model's files are, or will be; `model_dir` (--model-dir) overrides all else."""
    return files_of(config, model_dir).directory(home)


def local_files(config: ModelConfig, home: Home, model_dir: Path | None = None) -> Path | None:
    """The model's directory where its files are here and whole already; else None.

    Asks no network and reads headers only. A download is here once it has been verified; an
    endpoint never is.
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
        progress: called with the bytes that are here and the bytes in all
        source: "huggingface" or "modelscope"; None: as PIXTRACK_MODEL_SOURCE says, else the hub
        refresh: asks again what an unpinned revision stands for

    Raises UserError where files are missing, truncated, of the wrong format, or cannot be had.
    """
    return files_of(config, model_dir).fetch(home, Fetching(progress, source, refresh))
