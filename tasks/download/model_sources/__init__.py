"""Where a model's files come from: one row and one module a kind of source."""

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
"""The `kind` of a model's source to what looks after its files."""


def files_of(config: ModelConfig, model_dir: Path | None = None) -> ModelFiles:
    """What looks after the model's files; `model_dir` (--model-dir) overrides the model's source."""
    if model_dir is not None and config.source.has_files:
        return CopiedFiles(config, model_dir.expanduser().resolve(), "--model-dir")
    return MODEL_SOURCES[config.source.kind](config, config.source)
