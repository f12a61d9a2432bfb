"""What a hostile endpoint's replies become in the journal, through a real inference child."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.records import Answer, Request
from pixtrack.tasks.runs.journal import read_answers
from tests.doubles.asking import run_jobs, write_job
from tests.doubles.endpoint import Endpoint, Reply, completion, endpoint_spec
from tests.doubles.hostile_replies import WHOLE

Ask = Callable[[int, int], list[Request]]


def answers(endpoint: Endpoint, requests: list[Request], folder: Path) -> dict[int, Answer]:
    """The journal after a child has asked the requests, one at a time."""
    job = write_job(folder, requests)
    with EngineProcess(
        endpoint_spec(endpoint, max_concurrency=1), folder / "engine.log"
    ) as process:
        events = run_jobs(process, job)
    assert [event.event for event in events][-2:] == ["job_done", "closed"]
    return read_answers(Path(job.journal_path))


def test_what_is_no_answer_is_refused_by_name_and_reasoning_is_kept_apart(
    ask_about: Ask, tmp_path: Path
) -> None:
    names = ("refusal beside null", "tool calls", "reasoning alone", "reasoning and an answer")
    replies = [WHOLE[name].reply for name in names]
    with Endpoint(*replies) as endpoint:
        found = answers(endpoint, ask_about(4, 1), tmp_path)
    assert [(found[n].finish_reason, found[n].text, found[n].error) for n in range(4)] == [
        ("refused", "", "the model refuses to answer: I cannot."),
        ("refused", "", "the model calls a tool instead of answering"),
        ("refused", "", "the model ends its reasoning without an answer"),
        ("stop", "42", ""),
    ]
    assert found[3].reasoning == "6 x 7"


def test_no_proxy_comes_between_this_machine_and_itself(
    ask_about: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "fd00::/8,[::,corp")
    with Endpoint(answer=lambda body: Reply(completion("42"))) as endpoint:
        found = answers(endpoint, ask_about(1, 1), tmp_path)
    assert found[0].text == "42"
