"""The kind of engine `openai`: an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.inference.engines.base import Engine
from pixtrack.tasks.runs.protocol import EngineSpec


class OpenAiKind:
    """An OpenAI-compatible endpoint, on this machine or elsewhere. See `EngineKind`."""

    runs_here = False

    def spec(
        self,
        model: ModelConfig,
        model_dir: Path | None,  # noqa: ARG002
        planned: dict[str, Any] | None = None,  # noqa: ARG002
        replicas: tuple[tuple[str, ...], ...] = (),  # noqa: ARG002
    ) -> EngineSpec:
        """The spec with the source's settings, and the address with its secret parts."""
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
        """The variables of its address and key, and of proxies."""
        own = (str(spec.options.get(name) or "") for name in ("base_url_env", "api_key_env"))
        proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        return (*own, *proxies, *(name.lower() for name in proxies))

    def resolved(self, model: ModelConfig) -> ModelConfig:
        """The model with the name that the endpoint serves it by.

        Where the configuration has none, the endpoint is asked: the name is part of a run's
        identity, so that another model at the same address does not continue the first one's run.
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
