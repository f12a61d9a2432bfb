"""The typed models behind configs/ and experiments/: frozen, and refusing unknown keys."""

from __future__ import annotations

from pixtrack.configs.schema.base import (
    Config,
    PublishedScore,
)
from pixtrack.configs.schema.datasets import (
    AnnotationDataset,
    DatasetConfig,
    DatasetGroup,
    DatasetSource,
    DatasetSourceConfig,
    HubDataset,
    HubDocuments,
    SampleDataset,
)
from pixtrack.configs.schema.models import (
    Dimensions,
    EndpointModel,
    GeneratedModel,
    HubModel,
    LocalModel,
    ModelConfig,
    ModelFilesConfig,
    ModelSource,
    Recipe,
)
from pixtrack.configs.schema.prompts import (
    PromptConfig,
    PromptVariant,
    Shots,
)
from pixtrack.configs.schema.studies import (
    Sampling,
    Settings,
    StudyConfig,
)

__all__ = [
    "AnnotationDataset",
    "Config",
    "DatasetConfig",
    "DatasetGroup",
    "DatasetSource",
    "DatasetSourceConfig",
    "Dimensions",
    "EndpointModel",
    "GeneratedModel",
    "HubDataset",
    "HubDocuments",
    "HubModel",
    "LocalModel",
    "ModelConfig",
    "ModelFilesConfig",
    "ModelSource",
    "PromptConfig",
    "PromptVariant",
    "PublishedScore",
    "Recipe",
    "SampleDataset",
    "Sampling",
    "Settings",
    "Shots",
    "StudyConfig",
]
