"""What every kind of engine says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.inference.engines.base import Engine
from pixtrack.tasks.runs.protocol import EngineSpec


class EngineKind(Protocol):
    """What differs between kinds of engine."""

    runs_here: bool
    """Whether it is vLLM on this machine: memory is planned for it, it takes vLLM's options, its
    child runs under the interpreter that has vLLM, and its log tells why it failed. Otherwise it
    only asks somebody else, and pixtrack's own interpreter will do."""

    def spec(
        self,
        model: ModelConfig,
        model_dir: Path | None,
        planned: dict[str, Any] | None = None,
        replicas: tuple[tuple[str, ...], ...] = (),
    ) -> EngineSpec:
        """What the inference child needs to know to start the engine.

        `planned` are the memory plan's options and `replicas` its cards, where there is a plan.
        """
        ...

    def create(self, spec: EngineSpec) -> Engine:
        """The engine, not started. Raises UserError for options that it cannot have."""
        ...

    def secrets(self, spec: EngineSpec) -> tuple[str, ...]:
        """The environment variables with secrets that the engine cannot do without."""
        ...

    def resolved(self, model: ModelConfig) -> ModelConfig:
        """The model with everything that identifies it, as far as only the engine can tell.

        May ask the engine over the network. Raises UserError where it does not answer.
        """
        ...
