"""The kinds of engine: how one is described to the inference child, identified and made.

A model's source names its kind (`engine` in configs.schema). Adding a kind is adding a module with
the engine, a class here and a row of ENGINES. Engines are imported when one is made: this table is
read by processes that have no vLLM.
"""

from __future__ import annotations

import asyncio
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


class VllmKind:
    """vLLM, in a child process on this machine."""

    runs_here = True

    def spec(
        self,
        model: ModelConfig,
        model_dir: Path | None,
        planned: dict[str, Any] | None = None,
        replicas: tuple[tuple[str, ...], ...] = (),
    ) -> EngineSpec:
        """With the plan's options, or the model's own where there is no plan."""
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
        """None: the model's files are here."""
        return ()

    def resolved(self, model: ModelConfig) -> ModelConfig:
        """As it is: the files identify the model."""
        return model


class OpenAiKind:
    """An OpenAI-compatible endpoint, here or elsewhere."""

    runs_here = False

    def spec(
        self,
        model: ModelConfig,
        model_dir: Path | None,  # noqa: ARG002
        planned: dict[str, Any] | None = None,  # noqa: ARG002
        replicas: tuple[tuple[str, ...], ...] = (),  # noqa: ARG002
    ) -> EngineSpec:
        """With the source's settings; the address whole, as the requests need it."""
        source = model.endpoint
        return EngineSpec(
            engine="openai",
            format="endpoint",
            family=model.family,
            options={
                **source.model_dump(exclude={"kind"}),
                "base_url": source.base_url,
                **model.engine,
            },
            max_images=model.max_images,
        )

    def create(self, spec: EngineSpec) -> Engine:
        """The endpoint's client."""
        from pixtrack.tasks.inference.engines.openai import OpenAiEngine

        return OpenAiEngine(spec)

    def secrets(self, spec: EngineSpec) -> tuple[str, ...]:
        """Its own address and key, and the way out to it."""
        own = (str(spec.options.get(name) or "") for name in ("base_url_env", "api_key_env"))
        proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        return (*own, *proxies, *(name.lower() for name in proxies))

    def resolved(self, model: ModelConfig) -> ModelConfig:
        """With the name that it is served by.

        Where the configuration names none, the endpoint is asked: what it serves is part of a
        run's identity, and another model at the same address must not find the answers of the
        first.
        """
        from pixtrack.tasks.inference.engines.openai import OpenAiEngine

        engine = OpenAiEngine(self.spec(model, None))
        if engine.served_model:
            return model

        async def ask() -> str:
            try:
                await engine.start()
                return engine.served_model
            finally:
                await engine.close()

        source = model.endpoint.model_copy(update={"served_model": asyncio.run(ask())})
        return model.model_copy(update={"source": source})


ENGINES: dict[str, EngineKind] = {"vllm": VllmKind(), "openai": OpenAiKind()}


def engine_kind(model: ModelConfig) -> EngineKind:
    """The kind of engine that answers for the model."""
    return ENGINES[model.source.engine]
