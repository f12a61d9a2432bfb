"""What one command asked of a run: handed from the engine's step to scoring and reporting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class AskedRun:
    """The questions of a run that one command asked, and how long that took."""

    asked: int = 0
    """Answers that came, including failed ones."""
    seconds: float = 0.0
    """From the first question to the last answer; an engine's start is not in it."""
    started: str = ""
    """UTC, ISO 8601; "" where nothing was asked."""
    asked_twice: int = 0
    """Questions that a second replica was asked, because the first died before it answered."""
    replicas: list[dict[str, Any]] = field(default_factory=list)
    """What each of several replicas did: number, node, cards, log, answered; [] for one engine."""
    engine: dict[str, Any] = field(default_factory=dict)
    """What the engine reported when it was ready: version, options; {} where it was not ready."""
