"""The engine for OpenAI-compatible endpoints: `vllm serve`, a vendor's container, a hosted API.

It uses the chat completions protocol. The key is read from the environment alone; neither the key
nor user, password and query of the address appear in any message.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from pixtrack.configs.endpoint_address import EndpointAddress, endpoint_url, parse_address
from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.configs.schema import EndpointModel, Sampling
from pixtrack.tasks.inference.engines.base import (
    Capabilities,
    EngineDied,
    EngineOutput,
    EnginePrompt,
    RequestRefused,
)
from pixtrack.tasks.inference.engines.openai_http import (
    EndpointClient,
    NotReached,
    read_body,
    read_reply,
)
from pixtrack.tasks.inference.engines.openai_replies import error_message, output_of
from pixtrack.tasks.retrying import TryAgain, retry_after_seconds, retrying_async
from pixtrack.tasks.runs.protocol import EngineSpec

ATTEMPTS = 6
START_ATTEMPTS = 3
RETRIED_STATUSES = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which another attempt may succeed; 5xx are always tried again."""


class OpenAiEngine:
    """An `Engine` on an endpoint's /chat/completions.

    The spec's options are the fields of `configs.schema.EndpointModel`; any other option is sent
    unchanged with every request (`top_k`, `chat_template_kwargs`, …).
    """

    def __init__(
        self,
        spec: EngineSpec,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        attempts: int = ATTEMPTS,
    ) -> None:
        known = {
            key: spec.options[key] for key in EndpointModel.model_fields if key in spec.options
        }
        self.settings = EndpointModel.model_validate({**known, "kind": "endpoint"})
        self.extra = {key: value for key, value in spec.options.items() if key not in known}
        self._sleep = sleep
        self._attempts = attempts
        self._address = self._given_address()
        self._client: EndpointClient | None = None
        self._slots = asyncio.Semaphore(self.settings.max_concurrency)
        self._model = self.settings.served_model
        self._limit_key = "max_tokens"
        self._streams = True
        self.retried = 0

    @property
    def served_model(self) -> str:
        """The model's name at the endpoint; "" where none is configured and `start` was not
        called.
        """
        return self._model

    async def start(self) -> Capabilities:
        """Connects to the endpoint and checks that it serves the model."""
        limit = self.settings.max_concurrency
        client = self._client = EndpointClient(
            self._address,
            os.environ.get(self.settings.api_key_env, ""),
            self.settings.request_timeout_seconds,
            limit + 1,
        )
        served = await self._served_models(client)
        names = [str(model["id"]) for model in served]
        if not self._model:
            if not names:
                raise UserError(
                    f"{client.base_url} lists no models: name one as source.served_model"
                )
            self._model = names[0]
        elif names and self._model not in names:
            raise unknown_name(f"model at {client.base_url}:", self._model, names)
        described = next((model for model in served if model.get("id") == self._model), {})
        length = described.get("max_model_len")
        return Capabilities(
            token_prompts=False,
            kv_cache_tokens=None,
            max_model_len=length if isinstance(length, int) and length > 0 else None,
            # Whether it is on is unknown. Assuming so is harmless: followers wait for the leader.
            prefix_caching=True,
            max_concurrency=limit,
            name="openai",
            version=str(described.get("owned_by") or ""),
            platform=client.base_url,
            details={"served_model": self._model, "served_models": names},
        )

    async def generate(
        self,
        prompt: EnginePrompt,
        sampling: Sampling,
        on_first_token: Callable[[], None] | None = None,
    ) -> EngineOutput:
        """Answers one prompt; the output's `seconds` are those of the successful attempt."""
        if prompt.messages is None:
            raise TypeError("an endpoint takes chat messages")
        client = self._client
        if client is None:
            raise EngineDied("the endpoint's client is closed")
        async with self._slots:
            try:
                again = retrying_async(self._attempts, self._pause)
                return await again(self._ask, client, prompt, sampling, on_first_token)
            except TryAgain as failure:
                tried = f"{failure} ({self._attempts} attempts)"
                if isinstance(failure, NotReached):
                    raise EngineDied(
                        f"{client.base_url} cannot be reached any more: {tried}"
                    ) from failure
                raise RuntimeError(tried) from failure

    def prepare_image(self, image: Any) -> Any:
        """The image unchanged: the messages contain the images."""
        return image

    async def close(self) -> None:
        """Closes the connections to the endpoint."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _pause(self, seconds: float) -> None:
        """The pause before a question is sent again, which is counted."""
        self.retried += 1
        await self._sleep(seconds)

    async def _ask(
        self,
        client: EndpointClient,
        prompt: EnginePrompt,
        sampling: Sampling,
        on_first_token: Callable[[], None] | None,
    ) -> EngineOutput:
        """Makes one attempt; repeats it in another form where the endpoint asks for one."""
        while True:
            started = time.monotonic()
            # Only leaders are streamed: an event for every token costs both sides time.
            streamed = on_first_token is not None and self._streams

            async def read(
                response: httpx.Response, streamed: bool = streamed, started: float = started
            ) -> EngineOutput | None:
                if response.status_code == 400:
                    message = error_message(await read_body(response))
                    if self._adapts(message, streamed):
                        return None
                    raise RequestRefused(client.safe(f"the endpoint refuses it: {message}"))
                await self._raise_for_status(client, response)
                return output_of(await read_reply(response, on_first_token), started)

            body = self._body(prompt, sampling, streamed)
            output: EngineOutput | None = await client.ask("POST", "/chat/completions", body, read)
            if output is not None:
                return output

    def _body(self, prompt: EnginePrompt, sampling: Sampling, streamed: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": list(prompt.messages or ()),
            self._limit_key: sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body | self.extra

    def _adapts(self, message: str, streamed: bool) -> bool:
        """Adapts the form of requests to an endpoint's complaint; whether that was possible."""
        if "max_completion_tokens" in message and self._limit_key == "max_tokens":
            self._limit_key = "max_completion_tokens"
            return True
        if streamed and "stream" in message.lower() and self._streams:
            self._streams = False
            return True
        return False

    async def _raise_for_status(self, client: EndpointClient, response: httpx.Response) -> None:
        status = response.status_code
        if status < 400:
            return
        message = client.safe(f"HTTP {status}: {error_message(await read_body(response))}")
        if status in RETRIED_STATUSES or status >= 500:
            raise TryAgain(message, retry_after_seconds(response.headers.get("retry-after")))
        if status in (401, 403):
            raise UserError(
                f"{client.base_url} refuses access ({message}): set {self.settings.api_key_env} to "
                "a valid key"
            )
        if status == 404:
            raise UserError(
                f"{client.base_url} has no chat completions for {self._model!r} ({message}): "
                "correct source.base_url or source.served_model"
            )
        raise RequestRefused(f"the endpoint refuses it: {message}")

    async def _served_models(self, client: EndpointClient) -> list[dict[str, Any]]:
        """The models in /models; [] for an endpoint without it if the configuration names a
        model.
        """

        async def read(response: httpx.Response) -> list[dict[str, Any]] | None:
            if response.status_code == 404:
                return None
            await self._raise_for_status(client, response)
            listed = json.loads(await read_body(response)).get("data") or []
            return [one for one in listed if isinstance(one, dict) and one.get("id")]

        found: list[dict[str, Any]] | None
        try:
            found = await retrying_async(START_ATTEMPTS, self._sleep)(
                client.ask, "GET", "/models", None, read
            )
            if found is None and not self._address.version_given:
                client.base_url = client.base_url.removesuffix("/v1")  # some have no version
                found = await retrying_async(START_ATTEMPTS, self._sleep)(
                    client.ask, "GET", "/models", None, read
                )
        except (ValueError, AttributeError, TypeError, RecursionError, RequestRefused) as error:
            raise UserError(
                f"{client.base_url}/models is no list of models ({error}): is it an "
                "OpenAI-compatible endpoint?"
            ) from error
        except TryAgain as failure:
            raise UserError(
                f"{client.base_url} cannot be reached ({failure}): start the server, or correct "
                f"source.base_url or {self.settings.base_url_env}"
            ) from failure
        if found is not None:
            return found
        client.base_url = self._address.url
        if self._model:
            return []
        raise UserError(
            f"{client.base_url}/models is not there: correct source.base_url (it usually ends "
            "in /v1), or name source.served_model"
        )

    def _given_address(self) -> EndpointAddress:
        variable = self.settings.base_url_env
        url = endpoint_url(self.settings.base_url, variable)
        if not url:
            raise UserError(
                f"no address of the endpoint: set {variable} (http://host:port/v1), or "
                "source.base_url in the model's file"
            )
        return parse_address(url)
