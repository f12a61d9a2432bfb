"""Engines: what turns prompts into answers."""

from __future__ import annotations

from pixtrack.tasks.inference.engines.base import Engine
from pixtrack.tasks.runs.protocol import EngineSpec


def create_engine(spec: EngineSpec) -> Engine:
    """The engine that the spec names; it is not started."""
    if spec.engine == "openai":
        from pixtrack.tasks.inference.engines.openai import OpenAiEngine

        return OpenAiEngine(spec)
    from pixtrack.tasks.inference.engines.vllm import VllmEngine

    return VllmEngine(spec)
