"""dataset.json: what a prepared dataset is, where it came from and what was found in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pixtrack.configs.paths import Home

FORMAT = 1
"""Raised when the same source and configuration are prepared into different samples."""


class Manifest(BaseModel):
    """dataset.json. Written last: a folder with a readable one is a prepared dataset."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    digest: str
    """table.question_digest of the samples."""
    gold_digest: str
    samples: int
    failed: int
    """Samples with an error."""
    images: int
    image_bytes: int
    settings: dict[str, Any]
    """What of the configuration decides the samples; another value means preparing again."""
    source: dict[str, Any]
    """Where the rows came from, with the full revision and the files' hashes."""
    notes: dict[str, int]
    """Counts of what was met on the way: duplicate ids, rows left out, golds that differ, …"""
    prepared_at: str
    """UTC, ISO 8601."""
    seconds: float


def folder(home: Home, name: str) -> Path:
    """Where a prepared dataset lies."""
    return home.datasets / name


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest, or None where there is no readable one."""
    try:
        return Manifest.model_validate_json((directory / "dataset.json").read_bytes())
    except (OSError, ValueError):
        return None
