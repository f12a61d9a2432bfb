"""Prompt builders, one for each chat format: they make an engine's prompt of a request."""

from __future__ import annotations

from pathlib import Path

from pixtrack.tasks.inference.engines.base import Capabilities
from pixtrack.tasks.inference.prompts.base import Draft, PromptBuilder
from pixtrack.tasks.runs.protocol import EngineSpec

__all__ = ["Draft", "PromptBuilder", "builder_for"]


def builder_for(spec: EngineSpec, capabilities: Capabilities) -> PromptBuilder:
    """The builder for the engine's model: chat messages for endpoints, else by its file format."""
    if not capabilities.token_prompts:
        from pixtrack.tasks.inference.prompts.chat import ChatPrompts

        return ChatPrompts(spec.options, max_images=spec.max_images)
    if spec.format == "mistral":
        from pixtrack.tasks.inference.prompts.mistral import MistralPrompts

        return MistralPrompts(Path(spec.model_dir), max_images=spec.max_images)
    from pixtrack.tasks.inference.prompts.hf import HfPrompts

    return HfPrompts(
        Path(spec.model_dir),
        max_images=spec.max_images,
        trust_remote_code=bool(spec.options.get("trust_remote_code", False)),
    )
