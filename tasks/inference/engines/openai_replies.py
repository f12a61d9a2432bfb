"""Reads what an OpenAI-compatible endpoint replies: whole, streamed, or an error in its own words.

Not by the `openai` client, although vLLM brings it: that client hands on whatever parses, and what
has to be told apart here (a second choice, a reply that never says that it is finished, a refusal,
a tool call, reasoning without an answer) is exactly what it leaves to its caller.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from pixtrack.tasks.inference.engines.base import EngineOutput, RequestRefused

LONGEST_BODY_BYTES = 64 << 20
"""An answer is kilobytes; whatever sends more has no end."""


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
    refusal: list[str] = field(default_factory=list)
    """The model's words for not answering, which some endpoints keep apart from the content."""
    reasoning: list[str] = field(default_factory=list)
    """What the model thought, where the endpoint keeps it apart from the answer."""
    called_tool: bool = False
    has_content: bool = False
    """Whether there was any content, be it empty: null is none."""

    def take(self, message: dict[str, Any]) -> None:
        """Adds a message, or a piece of one."""
        self._take_content(message.get("content"))
        self.refusal += _texts(message.get("refusal"))
        self.reasoning += _texts(message.get("reasoning_content") or message.get("reasoning"))
        self.called_tool |= bool(message.get("tool_calls") or message.get("function_call"))

    def _take_content(self, content: Any) -> None:
        if isinstance(content, str):
            self.has_content = True
            if content:
                self.text.append(content)
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, str):
                    self._take_content(part)
                elif isinstance(part, dict):
                    kind = str(part.get("type", "text"))
                    into = {"refusal": self.refusal, "thinking": self.reasoning,
                            "reasoning": self.reasoning}.get(kind)  # fmt: skip
                    if into is not None:
                        into += _texts(part.get(kind) or part.get("text"))
                    elif "text" in kind:
                        self._take_content(part.get("text"))


def read_whole(body: bytes) -> Reply:
    """A chat completion that came in one piece. Raises TryAgain for anything else."""
    try:
        data = _parsed(body)
        if data.get("error"):
            raise TryAgain(f"the endpoint failed: {error_message(body)}")
        choice = _first_choice(data["choices"])
        if choice is None:
            raise TryAgain("the endpoint's answer has no choice 0")
        reply = Reply(finish_reason=choice.get("finish_reason"), usage=_usage(data))
        reply.take(choice["message"])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise TryAgain(f"the endpoint's answer is no chat completion ({error})") from error
    if reply.finish_reason is None:
        raise TryAgain("the endpoint does not say that its answer is finished")
    return reply


async def read_body(response: httpx.Response, seconds: float) -> bytes:
    """The whole body. Raises TryAgain where it does not come to an end in time, or at all."""
    found = bytearray()
    async for chunk in _in_time(response.aiter_bytes(), _Deadline(seconds)):
        found += chunk
        if len(found) > LONGEST_BODY_BYTES:
            raise TryAgain("the endpoint's answer does not end")
    return bytes(found)


async def read_stream(
    response: httpx.Response, on_first_token: Callable[[], None] | None, seconds: float = 300
) -> Reply:
    """A chat completion as server-sent events, up to [DONE]; of several choices, choice 0.

    An endpoint that answers in one piece all the same is read so. Raises TryAgain where it breaks
    off, and where nothing but keep-alives comes for `seconds`.
    """
    if "json" in response.headers.get("content-type", ""):
        return read_whole(await read_body(response, seconds))
    reply = Reply()
    deadline = _Deadline(seconds)
    async for line in _lines(_in_time(response.aiter_bytes(), deadline)):
        if not line.startswith(b"data:"):
            continue
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            break
        try:
            chunk = _parsed(data)
            if chunk.get("error"):
                raise TryAgain(f"the endpoint failed: {error_message(data)}")
            reply.usage = _usage(chunk) or reply.usage
            choice = _first_choice(chunk.get("choices") or ())
            if choice is None:
                continue
            before = len(reply.text) + len(reply.reasoning)
            reply.take(choice.get("delta") or {})
            reply.finish_reason = choice.get("finish_reason") or reply.finish_reason
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TryAgain(f"the endpoint's stream is damaged ({error})") from error
        if len(reply.text) + len(reply.reasoning) > before or reply.finish_reason:
            deadline.extend()
            if reply.first_token_at is None:
                reply.first_token_at = time.monotonic()
                if on_first_token is not None:
                    on_first_token()
    if reply.finish_reason is None:
        raise TryAgain("the endpoint ended the stream in the middle of an answer")
    return reply


def output_of(reply: Reply, started: float) -> EngineOutput:
    """The engine's output; `started` is a reading of time.monotonic().

    Raises RequestRefused for what is no answer: a refusal, a filter's work, a tool call, reasoning
    that ends without an answer. TryAgain for a reply without any content.
    """
    text = "".join(reply.text)
    cut_off = reply.finish_reason == "length"
    if reply.finish_reason == "content_filter":
        raise RequestRefused("the endpoint's content filter withheld the answer")
    if reply.refusal and not text:
        words = " ".join("".join(reply.refusal).split())[:500]
        raise RequestRefused(f"the model refuses to answer: {words}")
    if not text and (
        reply.called_tool or reply.finish_reason in ("tool_calls", "function_call", "tool_use")
    ):
        raise RequestRefused("the model calls a tool instead of answering")
    if not text and reply.reasoning and not cut_off:
        raise RequestRefused("the model ends its reasoning without an answer")
    if not reply.has_content and not (reply.reasoning and cut_off):
        raise TryAgain("the endpoint's answer has no content")
    usage = reply.usage
    details = usage.get("prompt_tokens_details")
    finished = time.monotonic()
    return EngineOutput(
        text=text,
        finish_reason="length" if cut_off else "stop",
        token_ids=(),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        cached_tokens=_count(details.get("cached_tokens") if isinstance(details, dict) else 0),
        first_token_seconds=(reply.first_token_at or finished) - started,
        seconds=finished - started,
        output_tokens=_count(usage.get("completion_tokens")),
        reasoning="".join(reply.reasoning),
    )


def error_message(body: bytes) -> str:
    """The endpoint's own words, from the shapes that endpoints put them in."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return " ".join(body[:4096].decode("utf-8", "replace").split())[:500]
    error = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return " ".join(str(error).split())[:500]


def retry_after_seconds(header: str | None) -> float | None:
    """Seconds; the header gives them or a date (RFC 9110, 10.2.3). A date without a zone is UTC."""
    if not header:
        return None
    try:
        seconds = float(header)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())


class _Deadline:
    """A moment that moves on whenever something worth waiting for comes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.extend()

    def extend(self) -> None:
        self._end = time.monotonic() + self._seconds

    def left(self) -> float:
        """Seconds; TryAgain where none is left."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TryAgain(f"the endpoint's answer did not come within {self._seconds:g} s")
        return seconds


async def _in_time(chunks: AsyncIterator[bytes], deadline: _Deadline) -> AsyncIterator[bytes]:
    """The chunks; TryAgain once the deadline has passed."""
    while True:
        try:
            chunk = await asyncio.wait_for(chunks.__anext__(), deadline.left())
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:
            deadline.left()
            continue
        yield chunk


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines that end at CR, LF or both, as server-sent events' do; text may hold any other ending."""
    rest = b""
    async for chunk in chunks:
        rest += chunk
        if len(rest) > LONGEST_BODY_BYTES:
            raise TryAgain("the endpoint's stream does not end a line")
        *whole, rest = rest.replace(b"\r\n", b"\n").split(b"\n")
        for line in whole:
            for piece in line.split(b"\r"):
                yield piece
    for piece in rest.split(b"\r"):
        yield piece


def _parsed(body: bytes) -> dict[str, Any]:
    """The JSON object. Raises ValueError for anything else, however deep."""
    try:
        data = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"{type(data).__name__} instead of an object")
    return data


def _first_choice(choices: Any) -> dict[str, Any] | None:
    """Choice 0, wherever it stands in the list; a single choice may come without its number."""
    for place, choice in enumerate(choices):
        index = choice.get("index")
        if (place if index is None else index) == 0:
            found: dict[str, Any] = choice
            return found
    return None


def _usage(data: dict[str, Any]) -> dict[str, Any]:
    usage = data.get("usage")
    return usage if isinstance(usage, dict) else {}


def _count(value: Any) -> int:
    """A number of tokens; 0 for whatever is none."""
    usable = isinstance(value, int | float) and math.isfinite(value) and value > 0
    return int(value) if usable else 0


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) and value else []
