"""The real client of endpoints, asked one prompt, with pauses that take no time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.engines.base import EngineOutput, EnginePrompt
from pixtrack.tasks.inference.engines.openai import ATTEMPTS, OpenAiEngine
from tests.doubles.endpoint import Endpoint, endpoint_spec

T = TypeVar("T")
SAMPLING = Sampling(max_tokens=16, stop=("\n",))
PROMPT = EnginePrompt(request_id="1", messages=({"role": "user", "content": "How many?"},))


class Naps:
    """Stands in for sleeping, and remembers for how long it would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def use(
    endpoint: Endpoint | str,
    what: Callable[[OpenAiEngine], Awaitable[T]],
    naps: Naps | None = None,
    attempts: int = ATTEMPTS,
    **options: Any,
) -> T:
    """What `what` returns for an engine that asks the endpoint; the engine is closed, twice."""

    async def run() -> T:
        engine = OpenAiEngine(endpoint_spec(endpoint, **options), naps or Naps(), attempts)
        try:
            await engine.start()
            return await what(engine)
        finally:
            await engine.close()
            await engine.close()

    return asyncio.run(run())


def ask(
    endpoint: Endpoint, naps: Naps | None = None, streamed: bool = False, **options: Any
) -> EngineOutput:
    """The answer to `PROMPT`."""
    first = (lambda: None) if streamed else None
    return use(endpoint, lambda engine: engine.generate(PROMPT, SAMPLING, first), naps, **options)
