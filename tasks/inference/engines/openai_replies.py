"""Reads what an OpenAI-compatible endpoint replies: whole, streamed, or an error in its own words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from pixtrack.tasks.inference.engines.base import EngineOutput, RequestRefused


class TryAgain(Exception):
    """A failure that a later try may not meet."""

    def __init__(self, reason: str, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


@dataclass
class Reply:
    """What a chat completion says, streamed or not."""

    text: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    first_token_at: float | None = None


def read_whole(body: bytes) -> Reply:
    """A chat completion that came in one piece. Raises TryAgain for anything else."""
    try:
        data = json.loads(body)
        choice = data["choices"][0]
        return Reply(
            [choice["message"].get("content") or ""],
            choice.get("finish_reason"),
            data.get("usage") or {},
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise TryAgain(f"the endpoint's answer is no chat completion ({error})") from error


async def read_stream(response: httpx.Response, on_first_token: Callable[[], None] | None) -> Reply:
    """A chat completion as server-sent events, up to [DONE]. Raises TryAgain where it breaks off."""
    reply = Reply()
    async for line in response.aiter_lines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            break
        try:
            chunk = json.loads(data)
            if "error" in chunk:
                raise TryAgain(f"the endpoint failed: {error_message(data.encode())}")
            reply.usage = chunk.get("usage") or reply.usage
            for choice in chunk.get("choices") or ():
                piece = (choice.get("delta") or {}).get("content") or ""
                if piece:
                    reply.text.append(piece)
                if (piece or choice.get("finish_reason")) and reply.first_token_at is None:
                    reply.first_token_at = time.monotonic()
                    if on_first_token is not None:
                        on_first_token()
                reply.finish_reason = choice.get("finish_reason") or reply.finish_reason
        except (ValueError, TypeError, AttributeError) as error:
            raise TryAgain(f"the endpoint's stream is damaged ({error})") from error
    if reply.finish_reason is None:
        raise TryAgain("the endpoint ended the stream in the middle of an answer")
    return reply


def output_of(reply: Reply, started: float) -> EngineOutput:
    """The engine's output; `started` is a reading of time.monotonic()."""
    if reply.finish_reason == "content_filter":
        raise RequestRefused("the endpoint's content filter withheld the answer")
    usage = reply.usage
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    finished = time.monotonic()
    return EngineOutput(
        text="".join(reply.text),
        finish_reason="length" if reply.finish_reason == "length" else "stop",
        token_ids=(),
        prompt_tokens=usage.get("prompt_tokens") or 0,
        cached_tokens=cached,
        first_token_seconds=(reply.first_token_at or finished) - started,
        seconds=finished - started,
        output_tokens=usage.get("completion_tokens") or 0,
    )


def error_message(body: bytes) -> str:
    """The endpoint's own words, from the shapes that endpoints put them in."""
    try:
        data = json.loads(body)
    except ValueError:
        return " ".join(body.decode("utf-8", "replace").split())[:500]
    error = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return " ".join(str(error).split())[:500]


def retry_after_seconds(header: str | None) -> float | None:
    """Seconds; the header gives them or a date (RFC 9110, 10.2.3)."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())
