"""The step "fetch model files" as a Prefect task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download import fetch_model
from pixtrack.tasks.prefecting import step


@step("fetch model files", network_retries=3)
def fetch_model_files(
    model: ModelConfig,
    home: Home,
    model_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Fetches the model's files and returns their directory; an empty path for an endpoint.

    See `fetch.fetch_model`.
    """
    if not model.source.has_files:
        return Path()
    return fetch_model(model, home, model_dir, progress)
