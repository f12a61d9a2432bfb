"""dataset.json, the description of a prepared dataset: its source, counts and digests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pixtrack.configs.paths import Home

FORMAT = 1
"""Version of preparation; increased when the same source and configuration give other samples."""


class Manifest(BaseModel):
    """The content of dataset.json. It is written last, so a folder that has it is complete."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    digest: str
    """`samples_file.question_digest` of the samples."""
    gold_digest: str
    samples: int
    failed: int
    """Samples with an error."""
    images: int
    image_bytes: int
    settings: dict[str, Any]
    """The part of the configuration that decides the samples; where it differs, prepare again."""
    source: dict[str, Any]
    """Where the rows came from, with the full revision and the files' hashes."""
    notes: dict[str, int]
    """Counts of peculiarities: duplicate ids, rows left out, golds that differ, …"""
    prepared_at: str
    """UTC, ISO 8601."""
    seconds: float


def folder(home: Home, name: str) -> Path:
    """The folder of a prepared dataset."""
    return home.datasets / name


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest, or None where there is no readable one."""
    try:
        return Manifest.model_validate_json((directory / "dataset.json").read_bytes())
    except (OSError, ValueError):
        return None
