"""The kinds of dataset source: one row of SOURCES and one module each."""

from __future__ import annotations

from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets.sources.annotation_files import AnnotationKind
from pixtrack.tasks.datasets.sources.base import SourceKind
from pixtrack.tasks.datasets.sources.generated import GeneratedKind
from pixtrack.tasks.datasets.sources.hub import HubKind

__all__ = ["SOURCES", "SourceKind", "source_kind"]

SOURCES: dict[str, SourceKind] = {
    "hub": HubKind(),
    "annotations": AnnotationKind(),
    "sample": GeneratedKind(),
}
"""The `kind` in a dataset's source to the object that reads it."""


def source_kind(config: DatasetConfig) -> SourceKind:
    """The object that reads the dataset's source."""
    return SOURCES[config.source.kind]
