"""Where a dataset's rows come from: one row and one module a kind of source."""

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
"""The `kind` of a dataset's source to what reads it."""


def source_kind(config: DatasetConfig) -> SourceKind:
    """What reads the dataset's source."""
    return SOURCES[config.source.kind]
