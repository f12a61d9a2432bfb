"""An OpenAI-compatible endpoint, as a kind of engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.inference.engines.base import Engine
from pixtrack.tasks.runs.protocol import EngineSpec


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
