"""The real annotation files, where this machine has them; they are never committed."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import pytest

from pixtrack.configs.loading import load_dataset
from pixtrack.tasks.datasets.annotation_rows import annotation_samples
from pixtrack.tasks.records import Sample

_REPOSITORY = Path(__file__).resolve().parents[3]
FOLDER = Path(
    os.environ.get("PIXTRACK_TEST_ANNOTATIONS") or _REPOSITORY.parent / "shared" / "annotations"
)
DATASETS = (
    "chartqapro_test",
    "chartqa_test_human",
    "chartqa_test_augmented",
    "docvqa_val",
    "infographicvqa_val",
    "textvqa_val",
    "vqav2_restval",
)

needs_annotations = pytest.mark.skipif(
    not all((FOLDER / f"{name}.jsonl").is_file() for name in DATASETS),
    reason=f"needs the seven annotation files in {FOLDER} (PIXTRACK_TEST_ANNOTATIONS)",
)


@lru_cache
def samples(dataset: str) -> tuple[Sample, ...]:
    return tuple(annotation_samples(FOLDER / f"{dataset}.jsonl", load_dataset(dataset)))
