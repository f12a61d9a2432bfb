"""The step "prepare dataset" as a Prefect task."""

from __future__ import annotations

from collections.abc import Callable

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.prefecting import step
from pixtrack.tasks.records import PreparedDataset


@step("prepare dataset", network_retries=3)
def prepare_dataset(
    dataset: DatasetConfig,
    home: Home,
    progress: Callable[[int, int], None] | None = None,
    on_bytes: Callable[[str, int, int], None] | None = None,
) -> PreparedDataset:
    """Prepares the dataset and returns its samples; returns at once where it is prepared
    already.
    """
    return prepare(dataset, home, progress, on_bytes)
