"""What asking a run's questions took: handed from the engine's step to scoring and reporting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pixtrack.tasks.runs.protocol import Event


@dataclass
class AskedRun:
    """What asking a run's questions took."""

    asked: int = 0
    seconds: float = 0.0
    started: str = ""
    """UTC, ISO 8601; "" where nothing was asked."""
    last: Event | None = None
    engine: dict[str, Any] = field(default_factory=dict)
