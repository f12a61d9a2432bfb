"""Protects a server on this machine from requests of other web sites.

A server on the loopback address can be reached from every page that a browser on this machine
opens: from another origin (the page of any web site), and under another host name (a site whose
name resolves to 127.0.0.1 after the page was loaded, "DNS rebinding"). Prefect checks neither, so
requests are checked here first. A login is required as well; see `login`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from urllib.parse import urlsplit

from pixtrack.configs.addresses import is_loopback

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

ALLOWED_HOSTS_VARIABLE = "PIXTRACK_ALLOWED_HOSTS"
"""The variable with further host names, separated by commas, under which the servers that pixtrack
starts may be reached: for a reverse proxy in front of them."""

_NEVER_FRAMED = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
)
"""Headers that keep pages of other origins from showing ours in a frame (clickjacking)."""


def allowed_hosts() -> frozenset[str]:
    """The host names besides this machine's own that PIXTRACK_ALLOWED_HOSTS allows."""
    named = os.environ.get(ALLOWED_HOSTS_VARIABLE, "").split(",")
    return frozenset(name.strip().lower() for name in named if name.strip())


class Guard:
    """An ASGI application that passes on only requests from this machine's own pages.

    `allowed` are host names besides those of the loopback address. `starting` is a lock that is
    held during the application's start, for applications that cannot start twice at once.
    """

    def __init__(
        self,
        application: Application,
        allowed: Iterable[str] = (),
        starting: AbstractContextManager[Any] | None = None,
    ) -> None:
        self._application = application
        self._allowed = frozenset(allowed)
        self._starting = starting

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serves one connection, as ASGI defines it."""
        if scope["type"] == "lifespan":
            await self._start(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if not refusal:
            await self._application(scope, receive, _unframed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            await _refuse(refusal, send)

    def refusal(self, scope: Message) -> str:
        """Why a connection is refused, in one line; "" for one that is accepted."""
        headers = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._is_ours(host):
            return (
                "refused: this server answers to localhost alone "
                f"({ALLOWED_HOSTS_VARIABLE} allows further names)"
            )
        origin = headers.get(b"origin")
        if origin is not None and _host_and_port(origin.decode("latin-1").lower()) != host:
            return "refused: a page of another origin must not talk to this server"
        return ""

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        # Not *.localhost: browsers take such a name to this machine for whatever site uses it.
        return name in self._allowed or (is_loopback(name) and not name.endswith(".localhost"))

    async def _start(self, scope: Message, receive: Receive, send: Send) -> None:
        """Starts the application, holding `starting` until it has started."""
        with ExitStack() as held:
            if self._starting is not None:
                held.enter_context(self._starting)

            async def released(message: Message) -> None:
                if message["type"].startswith("lifespan.startup."):
                    held.close()
                await send(message)

            await self._application(scope, receive, released)


def _host_and_port(origin: str) -> str:
    """Host and port of an Origin header, as in a Host header; "" for `null` and other values."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _unframed(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_NEVER_FRAMED]
        await send(message)

    return sending


async def _refuse(refusal: str, send: Send) -> None:
    body = f"{refusal}\n".encode()
    await send(
        {
            "type": "http.response.start",
            "status": 403,
            "headers": [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
