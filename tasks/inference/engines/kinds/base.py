"""The interface of a kind of engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.inference.engines.base import Engine
from pixtrack.tasks.runs.protocol import EngineSpec


class EngineKind(Protocol):
    """What differs between kinds of engine."""

    runs_here: bool
    """Whether the engine is vLLM on this machine: memory is planned for it, it takes vLLM's
    options, its child runs under the interpreter that has vLLM, and failures are explained from its
    log. Otherwise the child only sends requests elsewhere, under pixtrack's own interpreter."""

    def spec(
        self,
        model: ModelConfig,
        model_dir: Path | None,
        planned: dict[str, Any] | None = None,
        replicas: tuple[tuple[str, ...], ...] = (),
    ) -> EngineSpec:
        """Describes the engine to the inference child.

        Args:
            model: the model
            model_dir: its files; None where it has none
            planned: the options of the memory plan, where there is one
            replicas: the cards of each replica, by the plan
        """
        ...

    def create(self, spec: EngineSpec) -> Engine:
        """Makes the engine without starting it. Raises UserError for invalid options."""
        ...

    def secrets(self, spec: EngineSpec) -> tuple[str, ...]:
        """Names of the environment variables with secrets that the engine needs."""
        ...

    def resolved(self, model: ModelConfig) -> ModelConfig:
        """The model, completed by what only the engine knows and what identifies a run.

        May ask the engine over the network. Raises UserError where it does not answer.
        """
        ...
