"""What is no answer is never taken for one, and what is one is read, however it comes."""

from __future__ import annotations

import asyncio
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from pixtrack.tasks.inference.engines import openai_http
from pixtrack.tasks.inference.engines.base import RequestRefused
from pixtrack.tasks.retrying import retry_after_seconds
from tests.doubles.endpoint import Endpoint, Reply, completion, stream
from tests.doubles.endpoint_client import PROMPT, SAMPLING, Naps, ask, use
from tests.doubles.hostile_replies import STREAMED, WHOLE, Hostile
from tests.doubles.patience import at_most

CASES = [
    *(pytest.param(case, False, id=f"whole: {name}") for name, case in WHOLE.items()),
    *(pytest.param(case, True, id=f"streamed: {name}") for name, case in STREAMED.items()),
]


@pytest.mark.parametrize(("case", "streamed"), CASES)
def test_a_reply_becomes_what_it_is(case: Hostile, streamed: bool) -> None:
    with Endpoint(case.reply, Reply(completion("second try"))) as endpoint:
        if case.outcome == "refused":
            with pytest.raises(RequestRefused):
                ask(endpoint, streamed=streamed)
            assert len(endpoint.requests) == 1
            return
        output = ask(endpoint, streamed=streamed)
    if case.outcome == "again":
        assert (output.text, len(endpoint.requests)) == ("second try", 2)
    else:
        assert (output.text, output.reasoning) == (case.text, case.reasoning)
        assert len(endpoint.requests) == 1
        counts = (output.prompt_tokens, output.cached_tokens, output.output_tokens or 0)
        assert all(isinstance(count, int) and 0 <= count < 10**9 for count in counts)


class _Dripping(BaseHTTPRequestHandler):
    """Begins a reply and sends more of it for ever: some gateways do while their model is gone."""

    drip = b""

    def do_GET(self) -> None:
        body = b'{"data": [{"id": "tiny"}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.send_response(200)
        try:
            if self.drip:
                self.end_headers()
            while True:
                self.wfile.write(self.drip or b"x-still: there\r\n")
                self.wfile.flush()
                time.sleep(0.02)
        except OSError:
            pass

    def log_message(self, *_: Any) -> None:
        pass


DRIPS = {
    "comments": b": keep-alive\n\n",
    "blank lines": b"\n",
    "letters without a line's end": b"x",
    "events without a choice": b'data: {"choices": []}\n\n',
    "an answer without an end": b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n',
    "a whole reply without an end": b'{"choices": [',
    "headers": b"",
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("drip", DRIPS.values(), ids=DRIPS)
def test_a_reply_that_drips_for_ever_comes_to_an_end(drip: bytes, streamed: bool) -> None:
    handler = type("Handler", (_Dripping,), {"drip": drip})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        with (
            at_most(),
            pytest.raises(RuntimeError, match=r"did not come within 0\.2 s|header"),
        ):
            use(
                url,
                lambda e: e.generate(PROMPT, SAMPLING, (lambda: None) if streamed else None),
                request_timeout_seconds=0.2,
                attempts=2,
            )
        server.shutdown()


def test_a_reply_without_end_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_http, "LONGEST_BODY_BYTES", 10_000)
    for body in (b'{"choices": "' + b"x" * 20_000, stream(["x" * 200] * 100)):
        replies = [Reply(body)] * 6
        with Endpoint(*replies) as endpoint, pytest.raises(RuntimeError, match="does not end"):
            ask(endpoint)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", 7.0), ("-3", 0.0), ("nan", None), ("inf", None), ("1e400", None), ("soon", None),
        ("", None), (None, None), ("Wed, 01 Jan 2020 00:00:00", 0.0),
        ("Wed, 01 Jan 2020 00:00:00 -0000", 0.0), ("Wed, 01 Jan 2020 00:00:00 GMT", 0.0),
        ("99 Foo 99999", None), ("Wed, 99 Jan 2020 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_of_any_kind_is_read_or_left_alone(
    header: str | None, expected: float | None
) -> None:
    assert retry_after_seconds(header) == expected


@pytest.mark.parametrize(
    "models",
    [{"data": None}, {"data": 3}, [1], None, {"data": [None, 3, {}]}, b"<html>", b"[" * 90_000, {}],
)
def test_a_list_of_models_of_any_kind_is_one_line_or_none(models: Any) -> None:
    from pixtrack.configs.errors import UserError

    with Endpoint() as endpoint:
        endpoint.models = Reply(models)
        with pytest.raises(UserError) as refused:
            use(endpoint, lambda engine: asyncio.sleep(0), Naps())
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500
