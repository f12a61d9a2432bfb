"""The kinds of model source: one row of MODEL_SOURCES and one module each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pixtrack.configs.paths import config_file
from pixtrack.configs.schema import LocalModel, ModelConfig
from pixtrack.tasks.download.model_sources.base import Availability, Fetching, ModelFiles
from pixtrack.tasks.download.model_sources.copies import CopiedFiles
from pixtrack.tasks.download.model_sources.endpoints import NoFiles
from pixtrack.tasks.download.model_sources.generated import GeneratedFiles
from pixtrack.tasks.download.model_sources.hub import HubFiles

__all__ = ["MODEL_SOURCES", "Availability", "Fetching", "ModelFiles", "files_of"]


def _configured_copy(config: ModelConfig, source: LocalModel) -> ModelFiles:
    directory = config_file(Path(source.path).expanduser()).resolve()
    return CopiedFiles(config, directory, f"source.path of model {config.name}")


MODEL_SOURCES: dict[str, Callable[[ModelConfig, Any], ModelFiles]] = {
    "hub": HubFiles,
    "local": _configured_copy,
    "generated": GeneratedFiles,
    "endpoint": NoFiles,
}
"""The `kind` of a model's source to the class that manages its files."""


def files_of(config: ModelConfig, model_dir: Path | None = None) -> ModelFiles:
    """The object that manages the model's files; `model_dir` (--model-dir) overrides the source."""
    if model_dir is not None and config.source.has_files:
        return CopiedFiles(config, model_dir.expanduser().resolve(), "--model-dir")
    return MODEL_SOURCES[config.source.kind](config, config.source)
