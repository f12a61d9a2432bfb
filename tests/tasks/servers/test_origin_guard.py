"""Who may talk to a server of ours: decided from Host and Origin, before the application sees it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import Any

import pytest

from pixtrack.tasks.servers.origin_guard import Guard, allowed_hosts


def passed(headers: dict[str, str], kind: str = "http", allowed: set[str] | None = None) -> bool:
    """Whether a connection with these headers reaches the application."""
    reached: list[str] = []
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])
        if kind == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {
        "type": kind,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(Guard(application, allowed or set())(scope, receive, send))
    if reached and kind == "http":
        assert (b"x-frame-options", b"DENY") in sent[0]["headers"]
    if not reached:
        refused = {"http": ("http.response.start", 403), "websocket": ("websocket.close", 1008)}
        assert (sent[0]["type"], sent[0].get("status", sent[0].get("code"))) == refused[kind]
    return bool(reached)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:4200"},
        {"Host": "localhost:4200"},
        {"Host": "[::1]:4200"},
        {"Host": "LOCALHOST:9999"},  # forwarded from a port of another number
        {"Host": "localhost:4200", "Origin": "http://localhost:4200"},
        {"Host": "localhost:4200", "Origin": "HTTP://Localhost:4200"},
        {"Host": "localhost", "Origin": "https://localhost"},
    ],
)
def test_this_machines_own_pages_and_programs_are_let_in(
    headers: dict[str, str], kind: str
) -> None:
    assert passed(headers, kind)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": ""},
        {"Host": "attacker.example:4200"},
        {"Host": "attacker.localhost:4200"},
        {"Host": "127.0.0.1.attacker.example"},
        {"Host": "localhost.attacker.example:4200"},
        {"Host": "10.attacker.example"},
        {"Host": "localhost@attacker.example"},
        {"Host": "[bad"},
        {"Host": "localhost:4200", "Origin": "http://attacker.example"},
        {"Host": "localhost:4200", "Origin": "http://attacker.localhost:4200"},
        {"Host": "localhost:4200", "Origin": "http://localhost:8888"},
        {"Host": "localhost:4200", "Origin": "http://127.0.0.1:4200"},
        {"Host": "localhost:4200", "Origin": "null"},
        {"Host": "localhost:4200", "Origin": ""},
        {"Host": "localhost:4200", "Origin": "http://[bad"},
        {"Host": "attacker.example:4200", "Origin": "http://attacker.example:4200"},
    ],
)
def test_pages_of_other_origins_and_other_names_are_kept_out(
    headers: dict[str, str], kind: str
) -> None:
    assert not passed(headers, kind)


def test_a_name_that_the_user_allows_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXTRACK_ALLOWED_HOSTS", " GPU-box.example , other")
    headers = {"Host": "gpu-box.example", "Origin": "https://gpu-box.example"}
    assert passed(headers, allowed=set(allowed_hosts()))
    assert not passed({"Host": "gpu-box.example.org"}, allowed=set(allowed_hosts()))


@pytest.mark.parametrize("outcome", ["complete", "failed"])
def test_the_lock_is_held_for_the_start_and_no_longer(outcome: str) -> None:
    events: list[str] = []

    @contextmanager
    def lock() -> Any:
        events.append("locked")
        yield
        events.append("released")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        events.append("starts")
        await send({"type": f"lifespan.startup.{outcome}"})
        events.append("serves")

    async def send(message: Any) -> None:
        events.append(message["type"])

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    asyncio.run(Guard(application, (), lock())({"type": "lifespan"}, receive, send))
    told = f"lifespan.startup.{outcome}"
    assert events == ["locked", "starts", "released", told, "serves"]
