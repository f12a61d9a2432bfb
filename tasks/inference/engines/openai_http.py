"""The connection to an OpenAI-compatible endpoint: requests, replies, deadlines and secrets.

The `openai` client is not used. Up to version 2 it is built on httpx and from version 3 on httpx2,
vLLM decides which version is installed, and how a proxy is bypassed for this machine's own
addresses depends on it. Its retries follow an HTTP status only, not a reply that breaks off or is
no answer, and it has no deadline for a whole reply.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus, urlsplit

import httpx
from httpx_sse import EventSource

from pixtrack.configs.addresses import is_loopback, without_passwords
from pixtrack.configs.endpoint_address import EndpointAddress
from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.engines.base import EngineDied
from pixtrack.tasks.inference.engines.openai_replies import Reply, whole_reply
from pixtrack.tasks.retrying import TryAgain

CONNECT_SECONDS = 10.0
LONGEST_BODY_BYTES = 64 << 20
"""Limit of a reply's size. An answer is some kilobytes; a larger reply may never end."""
_FIELDS_OF_EVENTS = (b":", b"data", b"event", b"id", b"retry")

T = TypeVar("T")


class NotReached(TryAgain):
    """The endpoint could not be connected to."""


class EndpointClient:
    """Sends requests to one endpoint."""

    def __init__(
        self, address: EndpointAddress, key: str, seconds: float, connections: int
    ) -> None:
        """Prepares the connections; sends nothing.

        Args:
            address: the endpoint
            key: the key; "" for none
            seconds: deadline for a whole reply, counted from the request
            connections: most connections at once

        Raises:
            UserError: a proxy in the environment cannot be used
        """
        if address.query:
            _keep_addresses_out_of_logs()
        self.base_url = address.url
        """The address before the path. It may be changed: some endpoints have no `/v1`."""
        self._secrets = tuple(filter(None, (key, *address.secrets)))
        self._key = key
        self._seconds = seconds
        host = urlsplit(address.url).hostname or ""
        try:
            self._http: httpx.AsyncClient | None = httpx.AsyncClient(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                auth=(address.user, address.password) if address.user or address.password else None,
                params=address.query,
                timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS, pool=None),
                limits=httpx.Limits(
                    max_connections=connections, max_keepalive_connections=connections
                ),
                # A proxy on another machine cannot reach this machine's own addresses.
                trust_env=not is_loopback(host),
                verify=httpx.create_ssl_context(),
            )
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise UserError(
                f"{address.url}: the proxy for it cannot be used "
                f"({without_passwords(str(error))}): correct HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or "
                "NO_PROXY"
            ) from None

    async def close(self) -> None:
        """Closes the connections. May be called twice."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        read: Callable[[httpx.Response], Awaitable[T]],
    ) -> T:
        """Sends a request and returns what `read` makes of the response.

        Args:
            method: the HTTP method
            path: the path after `base_url`
            body: sent as JSON; None for none
            read: a coroutine function that reads the response

        Raises:
            TryAgain: the connection failed, or the reply was not complete at the deadline, which
                bytes that merely keep the connection alive do not postpone
            EngineDied: the client is closed
        """
        if self._http is None:
            raise EngineDied("the endpoint's client is closed")

        async def exchange() -> T:
            assert self._http is not None
            async with self._http.stream(method, self.base_url + path, json=body) as response:
                return await read(response)

        try:
            return await asyncio.wait_for(exchange(), self._seconds)
        except asyncio.TimeoutError:
            raise TryAgain(
                f"the endpoint's answer did not come within {self._seconds:g} s"
            ) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NotReached(self.safe(_reason(error))) from error
        except httpx.RequestError as error:
            raise TryAgain(self.safe(_reason(error))) from error

    def safe(self, message: str) -> str:
        """The message without key and secrets of the address, which some endpoints repeat."""
        if self._key:
            message = message.replace(self._key, "***")
        for secret in self._secrets:
            for written in {secret, quote(secret, safe=""), quote_plus(secret)}:
                # A short user name may occur within an ordinary word, and is left.
                message = re.sub(rf"(?<!\w){re.escape(written)}(?!\w)", "***", message)
        return message


async def read_body(response: httpx.Response) -> bytes:
    """The whole body. Raises TryAgain where it breaks off or is too long."""
    return b"".join([chunk async for chunk in _limited(response.aiter_bytes())])


async def read_reply(response: httpx.Response, on_first_token: Callable[[], None] | None) -> Reply:
    """Reads a chat completion, in one piece or as server-sent events.

    The form is recognised from the content: some endpoints ignore `stream`, and some send either
    form with the other's content type. Raises TryAgain for a reply of neither form, and for one
    that breaks off.
    """
    chunks = _limited(response.aiter_bytes())
    head = b""
    async for chunk in chunks:
        head += chunk
        start = head.removeprefix(codecs.BOM_UTF8).lstrip()
        if len(start) >= max(map(len, _FIELDS_OF_EVENTS)):
            break
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if not start.startswith(_FIELDS_OF_EVENTS):
        return whole_reply(head + b"".join([chunk async for chunk in chunks]))
    reply = Reply()
    async for data in _events(start, chunks):
        if data == "[DONE]":
            break
        if data and reply.take_event(data) and on_first_token is not None:
            on_first_token()
            on_first_token = None
    return reply


async def _events(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The data of each server-sent event."""

    async def body() -> AsyncIterator[bytes]:
        yield head
        async for chunk in chunks:
            yield chunk

    # The library accepts responses of the right content type only.
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    async for event in EventSource(
        httpx.Response(200, headers=headers, content=body())
    ).aiter_sse():
        yield event.data.strip()


async def _limited(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks. Raises TryAgain after LONGEST_BODY_BYTES."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > LONGEST_BODY_BYTES:
            raise TryAgain("the endpoint's answer does not end")
        yield chunk


def _keep_addresses_out_of_logs() -> None:
    """Silences httpx's log, which has the whole address of every request."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
