"""An OpenAI-compatible endpoint that answers, or fails, as a test tells it to."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from pixtrack.tasks.runs.protocol import EngineSpec


@dataclass(frozen=True)
class Reply:
    """One HTTP reply. A dict as body is sent as JSON; `cut` closes the connection after it."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    cut: bool = False
    held: threading.Event | None = None
    """The reply is sent once this is set."""


def completion(text: str, finish_reason: str = "stop", **usage: Any) -> dict[str, Any]:
    return {
        "choices": [{"message": {"content": text}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, **usage},
    }


def stream(pieces: list[str], finish_reason: str | None = "stop", done: bool = True) -> bytes:
    events: list[Any] = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    if finish_reason:
        events.append({"choices": [{"delta": {}, "finish_reason": finish_reason}]})
        events.append({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 2}})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join(lines + (["data: [DONE]\n\n"] if done else [])).encode()


def _streamed(whole: dict[str, Any]) -> bytes:
    if not whole["choices"]:
        return stream([], finish_reason=None)
    choice = whole["choices"][0]
    events = [
        {"choices": [{"delta": choice["message"]}]},
        {"choices": [{"delta": {}, "finish_reason": choice["finish_reason"]}]},
        {"choices": [], "usage": whole["usage"]},
    ]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()


Answer = Callable[[dict[str, Any]], Reply]


def held_after(number: int, release: threading.Event, delay_seconds: float = 0.0) -> Answer:
    """The first so many questions are answered at once or so, the others once `release` is set.

    So a run is in its middle for as long as a test wants, however busy the machine is.
    """
    asked = itertools.count()
    return lambda body: Reply(
        completion("42"),
        delay_seconds=delay_seconds,
        held=release if next(asked) >= number else None,
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that were killed: the tests do that."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Endpoint:
    """Serves on a free port of this machine. `replies` are used up one a chat request, then `answer`."""

    def __init__(self, *replies: Reply, answer: Answer | None = None) -> None:
        self.replies = list(replies)
        self.answer = answer or (lambda body: Reply(completion("42")))
        self.models_path = "/v1/models"
        self.models = Reply({"data": [{"id": "tiny", "max_model_len": 4096}]})
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.targets: list[str] = []
        """Path and query of every request."""
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Endpoint:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, body: dict[str, Any]) -> Reply:
        with self._lock:
            self.requests.append(body)
            self.times.append(time.monotonic())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            return self.replies.pop(0) if self.replies else self.answer(body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                pass

            def do_GET(self) -> None:
                endpoint.headers.append(dict(self.headers))
                endpoint.targets.append(self.path)
                self.close_connection = True  # or the handler's thread would outlive the server
                known = self.path.partition("?")[0] == endpoint.models_path
                self.send(endpoint.models if known else Reply({"detail": "Not Found"}, 404))

            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                sent = self.rfile.read(size)
                if len(sent) < size:
                    return  # the client was killed
                body = json.loads(sent)
                endpoint.headers.append(dict(self.headers))
                endpoint.targets.append(self.path)
                reply = endpoint._next(body)
                if body.get("stream") and isinstance(reply.body, dict) and "choices" in reply.body:
                    reply = replace(reply, body=_streamed(reply.body))
                try:
                    time.sleep(reply.delay_seconds)
                    if reply.held is not None:
                        reply.held.wait(240)
                    self.send(reply)
                finally:
                    with endpoint._lock:
                        endpoint._at_once -= 1

            def send(self, reply: Reply) -> None:
                data = (
                    reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                )
                try:
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    length = len(data) + (100 if reply.cut else 0)
                    self.send_header("content-length", str(length))
                    if self.close_connection:
                        # Said, or the client may send its next request into the closing one.
                        self.send_header("connection", "close")
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client gave up: what the test wanted
                if reply.cut:
                    self.close_connection = True

        return Handler


def endpoint_spec(endpoint: Endpoint | str, **options: Any) -> EngineSpec:
    """The engine that asks this endpoint, or the one at this address."""
    url = endpoint if isinstance(endpoint, str) else endpoint.url
    return EngineSpec(
        engine="openai",
        format="endpoint",
        family="",
        options={
            "base_url": url,
            "api_key_env": "TINY_KEY",
            "request_timeout_seconds": 20,
            **options,
        },
    )
