"""The kind of engine `vllm`: vLLM on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.inference.engines.base import Engine
from pixtrack.tasks.runs.protocol import EngineSpec


class VllmKind:
    """vLLM in a child process on this machine. See `EngineKind`."""

    runs_here = True

    def spec(
        self,
        model: ModelConfig,
        model_dir: Path | None,
        planned: dict[str, Any] | None = None,
        replicas: tuple[tuple[str, ...], ...] = (),
    ) -> EngineSpec:
        """The spec with the plan's options, or the model's own where there is no plan."""
        return EngineSpec(
            engine="vllm",
            model_dir=str(model_dir),
            format=model.format,
            family=model.family,
            options=model.engine if planned is None else planned,
            max_images=model.max_images,
            replicas=replicas,
        )

    def create(self, spec: EngineSpec) -> Engine:
        """VLLM's engine."""
        from pixtrack.tasks.inference.engines.vllm import VllmEngine

        return VllmEngine(spec)

    def secrets(self, spec: EngineSpec) -> tuple[str, ...]:  # noqa: ARG002
        """No variables: the model's files are on this machine."""
        return ()

    def resolved(self, model: ModelConfig) -> ModelConfig:
        """The model unchanged: its files identify it."""
        return model
