"""What of a dataset's configuration decides its samples."""

from __future__ import annotations

from typing import Any

from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets.manifest import FORMAT
from pixtrack.tasks.datasets.sources import source_kind


def sample_settings(config: DatasetConfig) -> dict[str, Any]:
    """The settings that decide the samples, as dataset.json keeps them.

    A prepared dataset whose kept settings differ from these is prepared again.
    """
    return {
        "format": FORMAT,
        "version": config.version,
        "row_format": config.row_format,
        "source": source_kind(config).settings(config),
    }
