"""vLLM's real engine with the random checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.host.environment import child_environment
from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.protocol import EngineSpec
from tests.doubles.asking import RunningEngine
from tests.doubles.child_imports import PARENTS_ALONE, imported
from tests.doubles.processes import below, kill_at_once

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
Ask = Callable[[int, int], list[Request]]


def test_the_engine_tells_what_it_can_do(running_engine: RunningEngine) -> None:
    told = running_engine.ready.details
    assert (told["name"], told["platform"], told["dtype"]) == ("vllm", "cpu", "float32")
    assert told["max_model_len"] == 4096 and told["prefix_caching"] is True
    assert told["kv_cache_tokens"] > 100_000
    assert told["start_seconds"] == pytest.approx(
        told["import_seconds"] + told["config_seconds"] + told["load_seconds"], abs=0.1
    )


def test_the_child_imports_nothing_of_the_other_steps(
    running_engine: RunningEngine, ask_about: Ask
) -> None:
    running_engine.ask(ask_about(1, 2))
    modules = imported(running_engine.folder / "engine.log")
    assert "pixtrack.tasks.inference.engines.vllm" in modules
    ours = {module for module in modules if module.startswith("pixtrack")}
    assert not sorted(filter(PARENTS_ALONE.match, ours))
    assert not {"prefect", "mlflow"} & modules


def test_answers_are_the_same_however_often_they_are_asked(
    running_engine: RunningEngine, ask_about: Ask
) -> None:
    requests = ask_about(4, 3)
    first = {index: answer.text for index, answer in running_engine.ask(requests).items()}
    again = {index: answer.text for index, answer in running_engine.ask(requests[::-1]).items()}
    assert first == again and len(set(first.values())) > 6
    assert running_engine.last.cached_tokens > 0


def test_the_image_and_the_question_make_the_answer(
    running_engine: RunningEngine, ask_about: Ask
) -> None:
    requests = ask_about(4, 1)
    same_text = [replace(request, turns=("What is this?",)) for request in requests]
    answers = {answer.text for answer in running_engine.ask(same_text).values()}
    assert len(answers) >= 3, "the image makes no difference"


def test_an_answer_cut_off_at_max_tokens_is_marked(
    running_engine: RunningEngine, ask_about: Ask
) -> None:
    requests = ask_about(6, 4)
    long = running_engine.ask(requests, Sampling(max_tokens=200))
    assert {answer.finish_reason for answer in long.values()} >= {"stop"}
    for answer in running_engine.ask(requests, Sampling(max_tokens=2)).values():
        cut = answer.output_tokens == 2 and answer.finish_reason == "length"
        assert cut or answer.finish_reason == "stop"
    assert running_engine.last.truncated > 12


def test_a_prompt_that_is_too_long_is_refused_alone_with_its_length(
    running_engine: RunningEngine, ask_about: Ask
) -> None:
    requests = ask_about(1, 3)
    requests[1] = replace(requests[1], turns=("why " * 5000,))
    answers = running_engine.ask(requests)
    assert [answers[n].finish_reason == "refused" for n in range(3)] == [False, True, False]
    assert "4,096" in answers[1].error and "tokens" in answers[1].error


def test_a_stop_text_ends_an_answer_and_is_not_part_of_it(
    running_engine: RunningEngine, ask_about: Ask
) -> None:
    requests = ask_about(1, 1)
    whole = running_engine.ask(requests, Sampling(max_tokens=12))[0].text
    word = whole.strip()[4:7]
    stopped = running_engine.ask(requests, Sampling(max_tokens=12, stop=(word,)))[0]
    assert stopped.finish_reason == "stop" and stopped.text == whole[: whole.index(word)]


@contextmanager
def served(checkpoint: Path, folder: Path) -> Iterator[str]:
    """What `vllm serve` runs, with the checkpoint; its address.

    Started by module: the command itself asks for the version of a distribution named vllm, and
    the CPU build has another name.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint)),
        *("--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)),
        *("--tokenizer-mode", "mistral", "--config-format", "mistral", "--load-format", "mistral"),
        *("--dtype", "float32", "--max-model-len", "4096", "--enforce-eager", "--seed", "0"),
        *("--kv-cache-memory-bytes", str(1 << 30), "--enable-prompt-tokens-details"),
    ]
    scratch = tempfile.mkdtemp(prefix="px")  # its sockets need a path shorter than a test's own
    with (folder / "serve.log").open("wb") as log:
        environment = child_environment(os.environ, scratch)
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            assert server.poll() is None, (folder / "serve.log").read_text()[-2000:]
            try:
                urllib.request.urlopen(url + "/health", timeout=2)
                break
            except OSError:
                time.sleep(0.25)
        yield url + "/v1"
    finally:
        kill_at_once([*below(server.pid), server.pid])
        server.wait()
        shutil.rmtree(scratch)


def test_an_endpoint_with_the_same_checkpoint_gives_the_same_answers(
    running_engine: RunningEngine, random_checkpoint: Path, ask_about: Ask, tmp_path: Path
) -> None:
    requests = ask_about(6, 3)
    here = running_engine.ask(requests)
    with served(random_checkpoint, tmp_path) as url:
        listed = json.load(urllib.request.urlopen(url + "/models"))["data"][0]
        spec = EngineSpec(
            engine="openai",
            format="endpoint",
            family="pixtral",
            options={"base_url": url, "max_concurrency": 6},
        )
        with RunningEngine(spec, tmp_path / "client") as client:
            assert client.ready.details["served_model"] == listed["id"] == "tiny"
            there = client.ask(requests)
            too_long = client.ask([replace(requests[0], turns=("why " * 5000,))])[0]
    assert {n: answer.text for n, answer in there.items()} == {
        n: answer.text for n, answer in here.items()
    }
    for index, answer in here.items():
        other = there[index]
        assert other.finish_reason == answer.finish_reason
        assert other.prompt_tokens == answer.prompt_tokens
        assert other.output_tokens == answer.output_tokens
    assert sum(answer.cached_tokens for answer in there.values()) > 0
    assert too_long.finish_reason == "refused" and "4096" in too_long.error
