"""Engines: what turns prompts into answers."""

from __future__ import annotations

from pixtrack.tasks.inference.engines.base import Engine
from pixtrack.tasks.inference.engines.kinds import ENGINES, engine_kind
from pixtrack.tasks.runs.protocol import EngineSpec

__all__ = ["ENGINES", "create_engine", "engine_kind"]


def create_engine(spec: EngineSpec) -> Engine:
    """The engine that the spec names; it is not started."""
    return ENGINES[spec.engine].create(spec)
