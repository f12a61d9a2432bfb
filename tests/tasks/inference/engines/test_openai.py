"""The client of OpenAI-compatible endpoints, against an endpoint that fails on demand."""

from __future__ import annotations

import asyncio
import base64
import logging
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.engines.base import (
    EngineDied,
    EngineOutput,
    RequestRefused,
)
from pixtrack.tasks.inference.engines.openai import OpenAiEngine
from tests.doubles.endpoint import Endpoint, Reply, completion, endpoint_spec, stream
from tests.doubles.endpoint_client import PROMPT, SAMPLING, Naps, ask, use

BUSY = Reply({"error": {"message": "slow down"}}, 429)
BROKEN = Reply({"error": {"message": "worker died"}}, 503)


def test_an_answer_carries_text_reason_and_token_counts() -> None:
    usage = {"prompt_tokens_details": {"cached_tokens": 8}}
    with Endpoint(Reply(completion("42 km", "length", **usage))) as endpoint:
        output = ask(endpoint)
    assert (output.text, output.finish_reason) == ("42 km", "length")
    assert (output.prompt_tokens, output.cached_tokens, output.output_tokens) == (10, 8, 2)
    assert 0 < output.first_token_seconds <= output.seconds
    body = endpoint.requests[0]
    assert body["model"] == "tiny" and body["messages"] == list(PROMPT.messages or ())
    assert (body["max_tokens"], body["temperature"], body["stop"]) == (16, 0.0, ["\n"])
    assert "stream" not in body


def test_the_first_token_is_told_before_the_answer_is_whole() -> None:
    with Endpoint(Reply(stream(["4", "2"]))) as endpoint:
        told: list[str] = []
        output = use(endpoint, lambda e: e.generate(PROMPT, SAMPLING, lambda: told.append("first")))
    assert (output.text, output.finish_reason, output.output_tokens) == ("42", "stop", 2)
    assert told == ["first"]
    assert endpoint.requests[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("failure", [BUSY, BROKEN, Reply(b"", 500), Reply(b"<html>", 502)])
def test_a_passing_failure_is_tried_again_with_growing_pauses(failure: Reply) -> None:
    naps = Naps()
    with Endpoint(failure, failure, failure) as endpoint:
        assert ask(endpoint, naps).text == "42"
    assert len(endpoint.requests) == 4
    assert [0.5 <= naps.seconds[0] <= 1, 1 <= naps.seconds[1] <= 2, 2 <= naps.seconds[2] <= 4] == [
        True
    ] * 3


def test_retry_after_is_honoured_in_seconds_and_as_a_date() -> None:
    when = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=40), usegmt=True)
    naps = Naps()
    replies = [
        Reply({}, 429, {"retry-after": header}) for header in ("7", when, "nonsense", "9999")
    ]
    with Endpoint(*replies) as endpoint:
        assert ask(endpoint, naps).text == "42"
    seconds, date, nonsense, endless = naps.seconds
    assert 7 <= seconds <= 8 and 36 <= date <= 41 and 2 <= nonsense <= 4 and endless <= 121


def test_a_cut_connection_and_a_damaged_answer_are_tried_again() -> None:
    replies = [Reply(b'{"choi', cut=True), Reply(b"not json"), Reply({"choices": []})]
    with Endpoint(*replies) as endpoint:
        assert ask(endpoint).text == "42"
    assert len(endpoint.requests) == 4


@pytest.mark.parametrize(
    "broken",
    [
        stream(["4"], finish_reason=None, done=False),
        stream(["4"], finish_reason=None),
        b'data: {"error": {"message": "engine died"}}\n\n',
        b"data: {broken\n\n",
    ],
)
def test_a_broken_stream_is_tried_again_and_its_half_answer_forgotten(broken: bytes) -> None:
    with Endpoint(Reply(broken), Reply(stream(["4", "2"]))) as endpoint:
        assert ask(endpoint, streamed=True).text == "42"


def test_a_timeout_is_tried_again() -> None:
    with Endpoint(Reply(completion("late"), delay_seconds=0.6)) as endpoint:
        assert ask(endpoint, request_timeout_seconds=0.2).text == "42"
    assert len(endpoint.requests) == 2


def test_failures_without_end_fail_this_request_alone_with_the_reason() -> None:
    naps = Naps()
    with (
        Endpoint(answer=lambda body: BROKEN) as endpoint,
        pytest.raises(RuntimeError, match=r"HTTP 503: worker died \(6 attempts\)"),
    ):
        ask(endpoint, naps)
    assert len(endpoint.requests) == 6 and len(naps.seconds) == 5


@pytest.mark.parametrize("status", [400, 413, 415, 422])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_the_endpoint_refuses_is_not_tried_again(status: int, streamed: bool) -> None:
    reply = Reply({"error": {"message": "prompt of 9,000 tokens is too long"}}, status)
    with (
        Endpoint(reply) as endpoint,
        pytest.raises(RequestRefused, match="9,000 tokens is too long"),
    ):
        ask(endpoint, streamed=streamed)
    assert len(endpoint.requests) == 1


def test_a_content_filter_is_a_refusal() -> None:
    with (
        Endpoint(Reply(completion("", "content_filter"))) as endpoint,
        pytest.raises(RequestRefused, match="content filter"),
    ):
        ask(endpoint)


def test_a_refused_key_ends_the_run_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TINY_KEY", "sk-secret-123")
    caplog.set_level(logging.DEBUG)
    reply = Reply({"error": {"message": "invalid key sk-secret-123"}}, 401)
    with Endpoint(reply) as endpoint, pytest.raises(UserError, match="set TINY_KEY") as caught:
        ask(endpoint)
    assert endpoint.headers[-1]["Authorization"] == "Bearer sk-secret-123"
    assert "secret" not in str(caught.value) + repr(caught.value) + caplog.text


def test_no_key_sends_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINY_KEY", raising=False)
    with Endpoint() as endpoint:
        ask(endpoint)
    assert all("Authorization" not in headers for headers in endpoint.headers)


def test_the_first_served_model_is_taken_and_its_length_known() -> None:
    async def run(url: str) -> Any:
        engine = OpenAiEngine(endpoint_spec(url))
        try:
            return await engine.start()
        finally:
            await engine.close()

    with Endpoint() as endpoint:
        capabilities = asyncio.run(run(endpoint.url))
    assert capabilities.details["served_model"] == "tiny"
    assert (capabilities.max_model_len, capabilities.max_concurrency) == (4096, 16)
    assert not capabilities.token_prompts


def test_a_model_that_is_not_served_lists_those_that_are() -> None:
    with (
        Endpoint() as endpoint,
        pytest.raises(UserError, match=r"'tinny'\. Did you mean 'tiny'.*Known: tiny"),
    ):
        ask(endpoint, served_model="tinny")


def test_v1_may_be_left_out_of_the_address() -> None:
    with Endpoint() as endpoint:
        output = use(endpoint.url.removesuffix("/v1"), lambda e: e.generate(PROMPT, SAMPLING))
    assert output.text == "42"


def test_an_address_that_is_no_endpoint_is_one_clear_line() -> None:
    with Endpoint() as endpoint:
        with pytest.raises(UserError, match="usually ends in /v1"):
            use(endpoint.url + "/nowhere", lambda e: e.generate(PROMPT, SAMPLING))
        endpoint.models = Reply(b"<html>hello</html>")
        with pytest.raises(UserError, match="is it an OpenAI-compatible endpoint"):
            ask(endpoint)


def test_nobody_listening_is_one_clear_line_at_the_start() -> None:
    with Endpoint() as endpoint:
        url = endpoint.url
    naps = Naps()
    with pytest.raises(UserError, match=r"cannot be reached .*start the server"):
        use(url, lambda engine: engine.generate(PROMPT, SAMPLING), naps)
    assert len(naps.seconds) == 2, "no pause after the last of three attempts"


def test_an_endpoint_that_goes_away_ends_the_run() -> None:
    async def stop_then_ask(engine: OpenAiEngine, endpoint: Endpoint) -> EngineOutput:
        await asyncio.to_thread(endpoint.__exit__, None, None, None)
        return await engine.generate(PROMPT, SAMPLING)

    endpoint = Endpoint().__enter__()
    with pytest.raises(EngineDied, match="cannot be reached any more"):
        use(endpoint, lambda engine: stop_then_ask(engine, endpoint))


@pytest.mark.parametrize(("url", "said"), [("", "set OPENAI_BASE_URL"), ("host:8000", "http://")])
def test_a_missing_or_wrong_address_is_one_clear_line(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UserError, match=said):
        OpenAiEngine(endpoint_spec(url))


def test_what_is_secret_in_the_address_opens_the_endpoint_and_is_told_to_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = Reply({"error": {"message": "no tea for annie with s3cr%2Ft or s3cr/t, K1 K1nd"}}, 400)
    with Endpoint(Reply(completion("42")), echo) as endpoint:
        address = endpoint.url.replace("http://", "http://annie:s3cr%2Ft@") + "/?key=K1"

        async def twice(engine: OpenAiEngine) -> str:
            await engine.generate(PROMPT, SAMPLING)
            with pytest.raises(RequestRefused) as refused:
                await engine.generate(PROMPT, SAMPLING)
            return str(refused.value)

        told = use(address, twice)
    assert endpoint.targets[-1] == "/v1/chat/completions?key=K1"
    expected = "Basic " + base64.b64encode(b"annie:s3cr/t").decode()
    assert {one["Authorization"] for one in endpoint.headers} == {expected}
    assert "no tea for *** with *** or ***, *** K1nd" in told
    for secret in ("annie", "s3cr", "key=K1"):
        assert secret not in told + caplog.text


def test_an_endpoint_without_a_version_in_its_paths_is_found() -> None:
    with Endpoint() as endpoint:
        endpoint.models_path = "/models"
        assert use(endpoint.url[:-3], lambda e: e.generate(PROMPT, SAMPLING)).text == "42"
    assert endpoint.targets[-1] == "/chat/completions"


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with Endpoint() as endpoint:
        monkeypatch.setenv("TINY_URL", endpoint.url)
        assert use("", lambda e: e.generate(PROMPT, SAMPLING), base_url_env="TINY_URL").text == "42"


def test_no_more_requests_at_once_than_the_limit() -> None:
    async def many(engine: OpenAiEngine) -> list[EngineOutput]:
        return await asyncio.gather(*(engine.generate(PROMPT, SAMPLING) for _ in range(12)))

    slow = Reply(completion("42"), delay_seconds=0.05)
    with Endpoint(answer=lambda body: slow) as endpoint:
        assert len(use(endpoint, many, max_concurrency=3)) == 12
    assert endpoint.most_at_once == 3


def test_options_that_are_not_ours_travel_with_every_request() -> None:
    with Endpoint() as endpoint:
        ask(endpoint, top_k=1, chat_template_kwargs={"enable_thinking": False})
    assert endpoint.requests[0]["top_k"] == 1
    assert endpoint.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}


def test_an_endpoint_that_wants_max_completion_tokens_gets_it() -> None:
    refusal = Reply({"error": {"message": "Use 'max_completion_tokens' instead."}}, 400)
    with Endpoint(refusal) as endpoint:
        assert ask(endpoint).text == "42"
    assert "max_tokens" not in endpoint.requests[1]
    assert endpoint.requests[1]["max_completion_tokens"] == 16


def test_an_endpoint_that_cannot_stream_is_asked_for_the_whole() -> None:
    refusal = Reply({"error": {"message": "stream_options is not supported"}}, 400)
    with Endpoint(refusal) as endpoint:
        assert ask(endpoint, streamed=True).text == "42"
    assert "stream" not in endpoint.requests[1]
