"""Replies of OpenAI-compatible endpoints that are no plain answer, each with what it must become.

Every one has been seen from some server or gateway. `reply` is the double's HTTP reply to a request
that is not streamed, `streamed` to one that is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from tests.doubles.endpoint import Reply

Outcome = Literal["answer", "refused", "again"]


@dataclass(frozen=True)
class Hostile:
    """A reply and what it must become: the answer `text`, a refusal, or another try."""

    reply: Reply
    outcome: Outcome
    text: str = ""
    reasoning: str = ""


def whole(message: Any, finish_reason: Any = "stop", **more: Any) -> Reply:
    """A chat completion with that message."""
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return Reply({"choices": [choice], "usage": {"prompt_tokens": 3}, **more})


def events(*chunks: Any, done: bool = True, kind: str = "text/event-stream") -> Reply:
    """Server-sent events: each a JSON value, or bytes as they are."""
    lines = [
        chunk
        if isinstance(chunk, bytes)
        else f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()
        for chunk in chunks
    ]
    body = b"".join(lines) + (b"data: [DONE]\n\n" if done else b"")
    return Reply(body, headers={"content-type": kind})


def delta(index: int | None = 0, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk with a piece of one choice."""
    choice: dict[str, Any] = {"delta": delta, "finish_reason": finish_reason}
    return {"choices": [choice if index is None else {"index": index, **choice}]}


END = delta(finish_reason="stop")
DEEP = b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"

WHOLE: dict[str, Hostile] = {
    "choices out of order": Hostile(
        Reply({"choices": [
            {"index": 1, "message": {"content": "no"}, "finish_reason": "stop"},
            {"index": 0, "message": {"content": "42"}, "finish_reason": "stop"},
        ]}), "answer", "42"),
    "another choice alone": Hostile(
        Reply({"choices": [{"index": 1, "message": {"content": "no"}, "finish_reason": "stop"}]}),
        "again"),
    "no index at all": Hostile(
        Reply({"choices": [{"message": {"content": "42"}, "finish_reason": "stop"}]}),
        "answer", "42"),
    "finish_reason null": Hostile(whole({"content": "half an"}, None), "again"),
    "finish_reason left out": Hostile(
        Reply({"choices": [{"index": 0, "message": {"content": "half"}}]}), "again"),
    "refusal beside null": Hostile(whole({"content": None, "refusal": "I cannot."}), "refused"),
    "refusal beside nothing": Hostile(whole({"content": "", "refusal": "No."}), "refused"),
    "refusal as a part": Hostile(
        whole({"content": [{"type": "refusal", "refusal": "No."}]}), "refused"),
    "tool calls": Hostile(
        whole({"content": None, "tool_calls": [{"function": {"name": "f"}}]}, "tool_calls"),
        "refused"),
    "an old function call": Hostile(
        whole({"content": None, "function_call": {"name": "f"}}, "function_call"), "refused"),
    "a tool call beside words": Hostile(
        whole({"content": "Let me look", "tool_calls": [{"function": {"name": "f"}}]}), "refused"),
    "words that end in a tool call": Hostile(whole({"content": "Let me"}, "tool_calls"), "refused"),
    "no tool calls, said": Hostile(whole({"content": "42", "tool_calls": []}), "answer", "42"),
    "a refusal beside words": Hostile(whole({"content": "42", "refusal": "I cannot."}), "refused"),
    "an empty refusal": Hostile(whole({"content": "42", "refusal": ""}), "answer", "42"),
    "an end in capitals": Hostile(whole({"content": "42"}, "STOP"), "answer", "42"),
    "an end by another name": Hostile(whole({"content": "42"}, "eos_token"), "answer", "42"),
    **{
        f"finish_reason {reason!r}": Hostile(whole({"content": "half an"}, reason), "again")
        for reason in ("error", "abort", "cancelled", "", 7, ["stop"], {"type": "stop"}, False)
    },
    "a filter after some words": Hostile(whole({"content": "4"}, "content_filter"), "refused"),
    "null content": Hostile(whole({"content": None}), "again"),
    "no content": Hostile(whole({"role": "assistant"}), "again"),
    "reasoning alone": Hostile(
        whole({"content": None, "reasoning_content": "Let me see"}), "refused"),
    "reasoning and an answer": Hostile(
        whole({"content": "42", "reasoning_content": "6 x 7"}), "answer", "42", "6 x 7"),
    "reasoning by its other name": Hostile(
        whole({"content": "42", "reasoning": "6 x 7"}), "answer", "42", "6 x 7"),
    "content as parts": Hostile(
        whole({"content": [{"type": "text", "text": "4"}, {"type": "output_text", "text": "2"}]}),
        "answer", "42"),
    "thinking as a part": Hostile(
        whole({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "42"}]}),
        "answer", "42", "hm"),
    "an empty answer": Hostile(whole({"content": ""}), "answer", ""),
    "a content filter": Hostile(whole({"content": ""}, "content_filter"), "refused"),
    "content a number": Hostile(whole({"content": 42}), "again"),
    "a message of text": Hostile(whole("42"), "again"),
    "another index, as text": Hostile(
        Reply({"choices": [{"index": "1", "message": {"content": "no"}, "finish_reason": "stop"}]}),
        "again"),
    "half a character": Hostile(whole({"content": "4\ud83d2"}), "answer", "4\ufffd2"),
    "a character in two halves": Hostile(
        Reply(b'{"choices": [{"message": {"content": "\\ud83d\\ude00"}, "finish_reason": "stop"}]}'),
        "answer", "\U0001f600"),
    "a byte order mark and blank lines": Hostile(
        Reply(b"\xef\xbb\xbf" + json.dumps(
            {"choices": [{"message": {"content": "42"}, "finish_reason": "stop"}]}).encode()),
        "answer", "42"),
    "blank lines first, as keep-alives": Hostile(
        Reply(b"\r\n \n\n" * 99 + json.dumps(
            {"choices": [{"message": {"content": "42"}, "finish_reason": "stop"}]}).encode()),
        "answer", "42"),
    "bytes that are no UTF-8": Hostile(
        Reply(b'{"choices": [{"message": {"content": "\xff"}, "finish_reason": "stop"}]}'), "again"),
    "damaged compression": Hostile(
        Reply(b"no gzip", headers={"content-encoding": "gzip"}), "again"),
    "a stream that nobody asked for": Hostile(
        events(delta(content="4"), delta(content="2"), END), "answer", "42"),
    "an error with status 200": Hostile(Reply({"error": {"message": "overloaded"}}), "again"),
    "no choices": Hostile(Reply({"choices": []}), "again"),
    "choices null": Hostile(Reply({"choices": None}), "again"),
    "choices a number": Hostile(Reply({"choices": 3}), "again"),
    "a list": Hostile(Reply([1, 2]), "again"),
    "null": Hostile(Reply(None), "again"),
    "a page": Hostile(Reply(b"<html>Welcome to this hotel's network</html>"), "again"),
    "nothing": Hostile(Reply(b""), "again"),
    "deep JSON": Hostile(Reply(DEEP), "again"),
    **{
        f"usage {usage!r}": Hostile(
            Reply({"choices": [
                {"index": 0, "message": {"content": "42"}, "finish_reason": "stop"}
            ], "usage": usage}), "answer", "42")
        for usage in (
            None, 3, "many", [1], True, {"prompt_tokens": "many"}, {"prompt_tokens": 10**400},
            {"prompt_tokens": 1e300, "completion_tokens": [], "prompt_tokens_details": [1]}, {"prompt_tokens": None},
            {"prompt_tokens": -1, "completion_tokens": 1e999, "prompt_tokens_details": 7},
            {"prompt_tokens_details": {"cached_tokens": "x"}},
        )
    },
}  # fmt: skip

STREAMED: dict[str, Hostile] = {
    "two choices woven together": Hostile(
        events(delta(0, content="4"), delta(1, content="no"), delta(0, content="2"),
               delta(1, finish_reason="stop"), END), "answer", "42"),
    "only another choice": Hostile(events(delta(1, content="no", finish_reason="stop")), "again"),
    "no index": Hostile(
        events(delta(None, content="42"), delta(None, finish_reason="stop")), "answer", "42"),
    "no end": Hostile(events(delta(content="half an")), "again"),
    "a refusal": Hostile(events(delta(refusal="I can"), delta(refusal="not."), END), "refused"),
    "tool calls": Hostile(
        events(delta(tool_calls=[{"index": 0}]), delta(finish_reason="tool_calls")), "refused"),
    "reasoning first": Hostile(
        events(delta(reasoning_content="6 x"), delta(reasoning_content=" 7"), delta(content="42"),
               END), "answer", "42", "6 x 7"),
    "reasoning alone": Hostile(events(delta(reasoning_content="hm"), END), "refused"),
    "no content": Hostile(events(END), "again"),
    "a reply in one piece": Hostile(
        Reply(json.dumps({"choices": [
            {"index": 0, "message": {"content": "42"}, "finish_reason": "stop"}]}).encode(),
            headers={"content-type": "application/json; charset=utf-8"}), "answer", "42"),
    **{
        f"a reply in one piece, {kind or 'of no type'}": Hostile(
            Reply(json.dumps({"choices": [
                {"index": 0, "message": {"content": "42"}, "finish_reason": "stop"}]}).encode(),
                headers={"content-type": kind} if kind else {}), "answer", "42")
        for kind in ("", "text/plain", "text/event-stream", "application/octet-stream")
    },
    "a refusal in one piece": Hostile(
        Reply(json.dumps({"choices": [
            {"index": 0, "message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}
        ]}).encode()), "refused"),
    "events of another type": Hostile(
        events(delta(content="42"), END, kind="application/json"), "answer", "42"),
    "an event on several lines": Hostile(
        events(b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "42"},\n'
               b'data: "finish_reason": "stop"}]}\n\n'), "answer", "42"),
    "a byte order mark": Hostile(
        Reply(b"\xef\xbb\xbf" + events(delta(content="42"), END).body), "answer", "42"),
    "a character in two halves, parted": Hostile(
        events(b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n'
               b'data: {"choices": [{"delta": {"content": "\\ude00"}}]}\n\n', END),
        "answer", "\U0001f600"),
    "an end that is none": Hostile(
        events(delta(content="4"), delta(finish_reason="error")), "again"),
    "words, then a refusal": Hostile(
        events(delta(content="The"), delta(refusal="I cannot."), END), "refused"),
    "words, then a tool call": Hostile(
        events(delta(content="Let me"), delta(tool_calls=[{"index": 0}]), END), "refused"),
    "an id, which lasts": Hostile(
        events(b"id: 7\n\n", delta(content="42"), b"\n\n", END), "answer", "42"),
    "line separators in the text": Hostile(
        events(delta(content="4\u2028\u2029\x85\x0b\x0c\x1c2"), END), "answer",
        "4\u2028\u2029\x85\x0b\x0c\x1c2"),
    "lines that end in CR": Hostile(
        Reply(events(delta(content="42"), END).body.replace(b"\n", b"\r"),
              headers={"content-type": "text/event-stream"}), "answer", "42"),
    "lines that end in CR LF": Hostile(
        Reply(events(delta(content="42"), END).body.replace(b"\n", b"\r\n"),
              headers={"content-type": "text/event-stream"}), "answer", "42"),
    "comments and other fields": Hostile(
        events(b": keep-alive\n\n", b"event: message\nid: 7\nretry: 3\n", delta(content="42"),
               b":\n\n", END), "answer", "42"),
    "no space after the colon": Hostile(
        events(b'data:{"choices":[{"index":0,"delta":{"content":"42"},"finish_reason":"stop"}]}\n\n'),
        "answer", "42"),
    "no [DONE]": Hostile(events(delta(content="42"), END, done=False), "answer", "42"),
    "an error in the middle": Hostile(
        events(delta(content="4"), {"error": {"message": "worker died"}}), "again"),
    "deep JSON": Hostile(events(b"data: " + DEEP + b"\n\n"), "again"),
    "usage of another kind": Hostile(
        events(delta(content="42"), END, {"choices": [], "usage": "lots"}), "answer", "42"),
    "choices null": Hostile(
        events({"choices": None}, delta(content="42"), END), "answer", "42"),
    "a number": Hostile(events(b"data: 7\n\n"), "again"),
}  # fmt: skip
