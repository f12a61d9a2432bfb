"""Any OpenAI-compatible endpoint: `vllm serve` here or elsewhere, a vendor's container, a hosted API.

Speaks the chat completions protocol over httpx. The key comes from the environment alone; neither
it nor what the address holds of user, password and query appears in any message.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, quote_plus

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
from pixtrack.tasks.inference.engines.openai_replies import (
    Reply,
    TryAgain,
    error_message,
    output_of,
    read_body,
    read_stream,
    read_whole,
    retry_after_seconds,
)
from pixtrack.tasks.runs.protocol import EngineSpec

ATTEMPTS = 6
START_ATTEMPTS = 3
BACKOFF_SECONDS = 1.0
"""Before the second attempt, doubled before each further one, and drawn between half and whole of
that so that requests that failed together do not come back together."""
BACKOFF_LIMIT_SECONDS = 30.0
RETRY_AFTER_LIMIT_SECONDS = 120.0
RETRIED_STATUSES = frozenset({408, 409, 425, 429})
"""Besides 5xx: what another try may not meet. No other 4xx is tried again."""
CONNECT_SECONDS = 10.0


class _NotReached(TryAgain):
    """No connection to the endpoint."""


class OpenAiEngine:
    """An `Engine` on an endpoint's /chat/completions.

    The spec's options are pixtrack.configs.schema.EndpointModel's fields; any other is sent along with
    every request as it is (`top_k`, `chat_template_kwargs`, …).
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
        self._key = os.environ.get(self.settings.api_key_env, "")
        self._address = self._given_address()
        self._base_url = self._address.url
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(self.settings.max_concurrency)
        self._model = self.settings.served_model
        self._limit_key = "max_tokens"
        self._streams = True

    @property
    def served_model(self) -> str:
        """The model's name at the endpoint; "" where none is configured and `start` was not called."""
        return self._model

    async def start(self) -> Capabilities:
        """Reaches the endpoint and finds the model there."""
        limit = self.settings.max_concurrency
        address = self._address
        if address.query:
            _keep_addresses_out_of_logs()
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            auth=(address.user, address.password) if address.user or address.password else None,
            params=address.query,
            timeout=httpx.Timeout(
                self.settings.request_timeout_seconds, connect=CONNECT_SECONDS, pool=None
            ),
            limits=httpx.Limits(max_connections=limit + 1, max_keepalive_connections=limit + 1),
        )
        served = await self._served_models()
        names = [str(model["id"]) for model in served]
        if not self._model:
            if not names:
                raise UserError(
                    f"{self._base_url} lists no models: name one as source.served_model"
                )
            self._model = names[0]
        elif names and self._model not in names:
            raise unknown_name(f"model at {self._base_url}:", self._model, names)
        described = next((model for model in served if model.get("id") == self._model), {})
        return Capabilities(
            token_prompts=False,
            kv_cache_tokens=None,
            max_model_len=described.get("max_model_len"),
            # Unknown, and harmless where it is off: followers wait for their leader's first token.
            prefix_caching=True,
            max_concurrency=limit,
            name="openai",
            version=str(described.get("owned_by") or ""),
            platform=self._base_url,
            details={"served_model": self._model, "served_models": names},
        )

    async def generate(
        self,
        prompt: EnginePrompt,
        sampling: Sampling,
        on_first_token: Callable[[], None] | None = None,
    ) -> EngineOutput:
        """One answer; `seconds` counts from the attempt that succeeded."""
        if prompt.messages is None:
            raise TypeError("an endpoint takes chat messages")
        async with self._slots:
            for attempt in range(1, self._attempts + 1):
                started = time.monotonic()
                try:
                    reply = await self._ask(prompt, sampling, on_first_token)
                    return output_of(reply, started)
                except TryAgain as failure:
                    if attempt == self._attempts:
                        await self._give_up(failure)
                    await self._sleep(_pause(attempt, failure.after_seconds))
        raise AssertionError("unreachable")

    def prepare_image(self, image: Any) -> Any:
        """Images travel inside the messages; nothing to prepare."""
        return image

    async def close(self) -> None:
        """Closes the connections; the endpoint goes on."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _give_up(self, failure: TryAgain) -> None:
        tried = f"{failure} ({self._attempts} attempts)"
        if isinstance(failure, _NotReached):
            raise EngineDied(f"{self._base_url} cannot be reached any more: {tried}") from failure
        raise RuntimeError(tried) from failure

    async def _ask(
        self,
        prompt: EnginePrompt,
        sampling: Sampling,
        on_first_token: Callable[[], None] | None,
    ) -> Reply:
        # Only whom others wait for is streamed: an event a token costs both sides more.
        streamed = on_first_token is not None and self._streams
        while True:
            body = self._body(prompt, sampling, streamed)
            async with self._request("POST", "/chat/completions", body) as response:
                if response.status_code == 400:
                    message = error_message(await self._body_of(response))
                    if self._adapts(message, streamed):
                        streamed = streamed and self._streams
                        continue
                    raise RequestRefused(self._safe(f"the endpoint refuses it: {message}"))
                await self._raise_for_status(response)
                seconds = self.settings.request_timeout_seconds
                if not streamed:
                    return read_whole(await read_body(response, seconds))
                return await read_stream(response, on_first_token, seconds)

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
        """Whether the request can be put in the way that this endpoint wants it."""
        if "max_completion_tokens" in message and self._limit_key == "max_tokens":
            self._limit_key = "max_completion_tokens"
            return True
        if streamed and "stream" in message.lower() and self._streams:
            self._streams = False
            return True
        return False

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The response, its body not yet read; TryAgain for what goes wrong on the way."""
        if self._client is None:
            raise EngineDied("the endpoint's client is closed")
        try:
            url = self._base_url + path
            async with self._client.stream(method, url, json=body) as response:
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _NotReached(self._safe(_reason(error))) from error
        except httpx.TransportError as error:
            raise TryAgain(self._safe(_reason(error))) from error

    async def _body_of(self, response: httpx.Response) -> bytes:
        return await read_body(response, self.settings.request_timeout_seconds)

    async def _raise_for_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status < 400:
            return
        message = self._safe(f"HTTP {status}: {error_message(await self._body_of(response))}")
        if status in RETRIED_STATUSES or status >= 500:
            raise TryAgain(message, retry_after_seconds(response.headers.get("retry-after")))
        if status in (401, 403):
            raise UserError(
                f"{self._base_url} refuses access ({message}): set {self.settings.api_key_env} to a "
                "valid key"
            )
        if status == 404:
            raise UserError(
                f"{self._base_url} has no chat completions for {self._model!r} ({message}): correct "
                "source.base_url or source.served_model"
            )
        raise RequestRefused(f"the endpoint refuses it: {message}")

    async def _served_models(self) -> list[dict[str, Any]]:
        """What /models lists; [] where the endpoint has no such list and the model is named."""
        failure: TryAgain | None = None
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                async with self._request("GET", "/models") as response:
                    found = response.status_code != 404
                    if found:
                        await self._raise_for_status(response)
                        listed = json.loads(await self._body_of(response)).get("data") or []
                        return [one for one in listed if isinstance(one, dict) and one.get("id")]
                if self._base_url == self._address.url and not self._address.version_given:
                    self._base_url = self._base_url.removesuffix("/v1")  # some have no version
                    continue
                self._base_url = self._address.url
                if self._model:
                    return []
                raise UserError(
                    f"{self._base_url}/models is not there: correct source.base_url (it usually ends "
                    "in /v1), or name source.served_model"
                )
            except (ValueError, AttributeError, TypeError, RecursionError, RequestRefused) as error:
                raise UserError(
                    f"{self._base_url}/models is no list of models ({error}): is it an "
                    "OpenAI-compatible endpoint?"
                ) from error
            except TryAgain as error:
                failure = error
                if attempt < START_ATTEMPTS:
                    await self._sleep(_pause(attempt, error.after_seconds))
        raise UserError(
            f"{self._base_url} cannot be reached ({failure}): start the server, or correct "
            f"source.base_url or {self.settings.base_url_env}"
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

    def _safe(self, message: str) -> str:
        """Without the key and the address's secrets, which some endpoints repeat."""
        if self._key:
            message = message.replace(self._key, "***")
        for secret in self._address.secrets:
            for written in {secret, quote(secret, safe=""), quote_plus(secret)}:
                # A short user's name may be part of a word that says something else.
                message = re.sub(rf"(?<!\w){re.escape(written)}(?!\w)", "***", message)
        return message


def _keep_addresses_out_of_logs() -> None:
    """The client's own log has a line a request, with the whole address."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _pause(attempt: int, after_seconds: float | None) -> float:
    if after_seconds is not None:
        return min(after_seconds, RETRY_AFTER_LIMIT_SECONDS) + random.uniform(0, BACKOFF_SECONDS)
    longest = min(BACKOFF_SECONDS * 2 ** (attempt - 1), BACKOFF_LIMIT_SECONDS)
    return random.uniform(longest / 2, longest)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
