"""The kinds of engine: how one is described to the inference child, identified and made.

A model's source names its kind (`engine` in configs.schema). Adding a kind is adding a module with
the engine, a module here and a row of ENGINES. Engines are imported when one is made: this table is
read by processes that have no vLLM.
"""

from __future__ import annotations

from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.inference.engines.kinds.base import EngineKind
from pixtrack.tasks.inference.engines.kinds.openai import OpenAiKind
from pixtrack.tasks.inference.engines.kinds.vllm import VllmKind

__all__ = ["ENGINES", "EngineKind", "engine_kind"]

ENGINES: dict[str, EngineKind] = {"vllm": VllmKind(), "openai": OpenAiKind()}


def engine_kind(model: ModelConfig) -> EngineKind:
    """The kind of engine that answers for the model."""
    return ENGINES[model.source.engine]
