"""Interprets the replies of OpenAI-compatible endpoints, whole ones and events of a stream.

A reply is an answer, a refusal, or unusable, after which the request is tried again.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

from pixtrack.tasks.inference.engines.base import EngineOutput, RequestRefused
from pixtrack.tasks.retrying import TryAgain

_FINISHED = frozenset(
    {"stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed"}
)
_CUT_OFF = frozenset({"length", "max_tokens", "model_length"})
_WITHHELD = frozenset({"content_filter", "safety", "recitation", "blocklist", "prohibited_content"})
_TOOL_CALLED = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})
"""Values of finish_reason, in lower case, in the spellings of different endpoints. After any value
outside of these sets (error, abort) the answer is not used."""

_MOST_TOKENS = 1 << 40
"""Limit of a plausible number of tokens; larger numbers are ignored."""


@dataclass
class Reply:
    """The content of a chat completion, streamed or whole."""

    text: list[str] = field(default_factory=list)
    finish_reason: Any = None
    usage: dict[str, Any] = field(default_factory=dict)
    first_token_at: float | None = None
    refusal: list[str] = field(default_factory=list)
    """The model's refusal to answer, from endpoints that keep it apart from the content."""
    reasoning: list[str] = field(default_factory=list)
    """The model's reasoning, from endpoints that keep it apart from the content."""
    called_tool: bool = False
    has_content: bool = False
    """Whether there was any content; an empty string counts, null does not."""

    def take(self, message: dict[str, Any]) -> None:
        """Adds a message, or a delta of a streamed one."""
        self._take_content(message.get("content"))
        self.refusal += _texts(message.get("refusal"))
        self.reasoning += _texts(message.get("reasoning_content") or message.get("reasoning"))
        self.called_tool |= bool(message.get("tool_calls") or message.get("function_call"))

    def take_event(self, data: str) -> bool:
        """Adds an event of a stream; returns whether it contained a part of the answer.

        Of several choices only choice 0 is read. Raises TryAgain for anything else than an event
        of a chat completion.
        """
        try:
            chunk = _parsed(data)
            if chunk.get("error"):
                raise TryAgain(f"the endpoint failed: {error_message(data)}")
            self.usage = _usage(chunk) or self.usage
            choice = _first_choice(chunk.get("choices") or ())
            if choice is None:
                return False
            before = len(self.text) + len(self.reasoning)
            self.take(choice.get("delta") or {})
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TryAgain(f"the endpoint's stream is damaged ({error})") from error
        if len(self.text) + len(self.reasoning) == before and not self.finish_reason:
            return False
        self.first_token_at = self.first_token_at or time.monotonic()
        return True

    def _take_content(self, content: Any) -> None:
        if isinstance(content, str):
            self.has_content = True
            if content:
                self.text.append(content)
        elif isinstance(content, list):
            for part in content:
                self._take_part(part)

    def _take_part(self, part: Any) -> None:
        if isinstance(part, str):
            self._take_content(part)
        elif isinstance(part, dict):
            kind = str(part.get("type", "text"))
            if kind == "refusal":
                self.refusal += _texts(part.get(kind) or part.get("text"))
            elif kind in ("thinking", "reasoning"):
                self.reasoning += _texts(part.get(kind) or part.get("text"))
            elif "text" in kind:
                self._take_content(part.get("text"))


def whole_reply(body: bytes) -> Reply:
    """Reads a chat completion in one piece. Raises TryAgain for anything else."""
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
    return reply


def output_of(reply: Reply, started: float) -> EngineOutput:
    """Makes the engine's output of a reply.

    Reasoning that is cut off at the token limit counts as an answer that is cut off: leaving the
    sample out of the score would favour the model.

    Args:
        reply: the reply
        started: `time.monotonic()` at the request

    Raises:
        RequestRefused: the reply is no answer, and another attempt would give none either: a
            refusal, a content filter, a tool call, reasoning that ends without an answer
        TryAgain: the reply is not finished, or has no content
    """
    reason = str(reply.finish_reason or "").lower()
    if not reason:
        raise TryAgain("the endpoint does not say that its answer is finished")
    _require_an_answer(reply, reason)
    usage = reply.usage
    details = usage.get("prompt_tokens_details")
    finished = time.monotonic()
    return EngineOutput(
        text=_joined(reply.text),
        finish_reason="length" if reason in _CUT_OFF else "stop",
        token_ids=(),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        cached_tokens=_count(details.get("cached_tokens") if isinstance(details, dict) else 0),
        first_token_seconds=(reply.first_token_at or finished) - started,
        seconds=finished - started,
        output_tokens=_count(usage.get("completion_tokens")),
        reasoning=_joined(reply.reasoning),
    )


def _require_an_answer(reply: Reply, reason: str) -> None:
    if reason in _WITHHELD:
        raise RequestRefused("the endpoint's content filter withheld the answer")
    if reply.refusal or reason == "refusal":
        words = " ".join(_joined(reply.refusal or reply.text).split())[:500]
        raise RequestRefused(f"the model refuses to answer: {words}")
    if reply.called_tool or reason in _TOOL_CALLED:
        raise RequestRefused("the model calls a tool instead of answering")
    if reason not in _FINISHED | _CUT_OFF:
        raise TryAgain(f"the endpoint ends its answer with finish_reason {reason[:50]!r}")
    if not reply.text and reply.reasoning:
        if reason in _FINISHED:
            raise RequestRefused("the model ends its reasoning without an answer")
    elif not reply.has_content:
        raise TryAgain("the endpoint's answer has no content")


def error_message(body: bytes | str) -> str:
    """The endpoint's error message, from any of the layouts that endpoints use."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        return " ".join(text[:4096].split())[:500]
    error = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return " ".join(str(error).split())[:500]


def _parsed(body: bytes | str) -> dict[str, Any]:
    """Parses a JSON object. Raises ValueError for anything else, too deeply nested JSON
    included.
    """
    try:
        data = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"{type(data).__name__} instead of an object")
    return data


def _first_choice(choices: Any) -> dict[str, Any] | None:
    """The choice with index 0; a single choice may lack its index. None without one."""
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
    """The value as a number of tokens; 0 where it is not a plausible one."""
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    return value if isinstance(value, int) and 0 < value < _MOST_TOKENS else 0


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) and value else []


def _joined(pieces: list[str]) -> str:
    r"""The pieces as one text that can be encoded as UTF-8.

    JSON may write a character beyond U+FFFF as two surrogates (`\ud83d\ude00`), and a stream may
    separate them: they are joined again, and a lone surrogate becomes U+FFFD.
    """
    text = "".join(pieces)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
