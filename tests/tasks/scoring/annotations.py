"""The samples of the real annotation files, where this machine has them."""

from __future__ import annotations

from functools import lru_cache

from pixtrack.configs.loading import load_dataset
from pixtrack.tasks.datasets.annotation_rows import annotation_samples
from pixtrack.tasks.records import Sample
from tests.shared import ANNOTATIONS

DATASETS = (
    "chartqapro_test",
    "chartqa_test_human",
    "chartqa_test_augmented",
    "docvqa_val",
    "infographicvqa_val",
    "textvqa_val",
    "vqav2_restval",
)


@lru_cache
def samples(dataset: str) -> tuple[Sample, ...]:
    return tuple(annotation_samples(ANNOTATIONS / f"{dataset}.jsonl", load_dataset(dataset)))
