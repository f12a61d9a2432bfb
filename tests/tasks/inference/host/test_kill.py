"""kill -9 at any moment, then the same again: none lost, none asked twice, nothing left running.

With vLLM's real engine. Each round kills something else at another moment; the last one finishes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.environment.strays import find_strays
from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.journal import read_answers
from pixtrack.tasks.runs.protocol import EngineSpec, Event
from tests.doubles.asking import write_job
from tests.doubles.patience import wait_until
from tests.doubles.processes import alive, below, kill_at_once, program

FLOW = """
import sys
from pathlib import Path
from pixtrack.tasks.runs.protocol import EngineSpec, Job
from pixtrack.tasks.inference.host.process import EngineProcess
folder = Path(sys.argv[1])
spec = EngineSpec.model_validate_json((folder / "spec.json").read_text())
with EngineProcess(spec, folder / "engine.log") as process:
    process.submit(Job.model_validate_json((folder / "job.json").read_text()))
    process.no_more_jobs()
    print(process.pid, flush=True)
    for event in process.events():
        print(event.model_dump_json(), flush=True)
"""
SAMPLING = Sampling(max_tokens=64)
END_SECONDS = 30
"""After the kill, until no process of the engine is alive."""


@contextmanager
def flow(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The flow's process and the guard's id; afterwards nothing is left of either."""
    with program(FLOW, folder) as process:
        assert process.stdout
        yield process, int(process.stdout.readline())


def engine_core(guard: int) -> list[int]:
    found = []
    for pid in below(guard):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "VLLM::EngineCore" in " ".join(psutil.Process(pid).cmdline()):
                found.append(pid)
    return found


def tear_last_line(journal: Path) -> int:
    """Cuts the last answer in two, as a kill within a write does; returns its index."""
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    return max(read_answers(journal), default=-1)


def ended(pids: list[int]) -> float:
    return wait_until(lambda: not alive(pids), "all has ended", END_SECONDS)


def rest(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.read()


@pytest.mark.engine
@pytest.mark.timeout(400)
def test_killed_again_and_again_a_run_loses_nothing_asks_nothing_twice_and_leaves_nothing(
    tiny_spec: EngineSpec,
    ask_about: Callable[[int, int], list[Request]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = tempfile.mkdtemp(dir="/tmp")  # a short path, for the sockets
    monkeypatch.setenv("TMPDIR", place)
    requests = ask_about(12, 8)
    # Four at a time, so that the answers come one by one over some seconds.
    options = {**tiny_spec.options, "max_num_seqs": 4}
    spec = tiny_spec.model_copy(update={"options": options})

    def prepared(folder: Path) -> Path:
        job = write_job(folder, requests, SAMPLING)
        (folder / "spec.json").write_text(spec.model_dump_json())
        (folder / "job.json").write_text(job.model_dump_json())
        return folder

    prepared(tmp_path)
    journal = tmp_path / "answers.jsonl"

    def answered() -> int:
        return len(read_answers(journal))

    took = {}

    # While the engine starts, in two runs side by side: in one the worker is killed; the flow is
    # told, and the core ends too. In the other the guard is killed with it: the kernel tells the
    # engine core.
    other = prepared(tmp_path / "other")
    with flow(tmp_path) as (process, guard), flow(other) as (_, other_guard):
        wait_until(lambda: engine_core(guard), "the engine core starts", 120, every=0.1)
        pids = [guard, *below(guard)]
        os.kill(psutil.Process(guard).children()[0].pid, signal.SIGKILL)
        took["worker, at the start"] = ended(pids)
        assert '"event":"engine_failed"' in rest(process)
        wait_until(lambda: engine_core(other_guard), "the engine core starts", 120, every=0.1)
        pids = [other_guard, *below(other_guard)]
        kill_at_once([other_guard, psutil.Process(other_guard).children()[0].pid])
        took["guard and worker, at the start"] = ended(pids)
    assert answered() == 0

    # At the first answers: the engine core is killed; the job has failed, its answers stay.
    with flow(tmp_path) as (process, guard):
        wait_until(lambda: answered() >= 2, "the first answers", 180)
        pids = [guard, *below(guard)]
        os.kill(engine_core(guard)[0], signal.SIGKILL)
        events = [Event.model_validate_json(line) for line in rest(process).splitlines()]
        told = {event.event: event for event in events}
        took["engine core, first answers"] = ended(pids)
    first = read_answers(journal)
    assert 2 <= told["job_failed"].done == len(first) < len(requests)
    assert told["engine_failed"].details["reason"] == "engine_died"
    assert "died" in told["engine_failed"].message

    # Near the end: the flow is killed, and the last line is torn.
    with flow(tmp_path) as (process, guard):
        wait_until(lambda: answered() >= len(requests) - 24, "near the end", 180)
        pids = [guard, *below(guard)]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        took["flow, near the end"] = ended(pids)
    tear_last_line(journal)
    second = read_answers(journal)
    assert len(requests) - 25 <= len(second) < len(requests)

    # To the end, and the flow ends by itself.
    with flow(tmp_path) as (process, guard):
        assert '"event":"closed"' in rest(process) and process.wait() == 0
        assert not alive([guard, *below(guard)])
    print({what: round(seconds, 2) for what, seconds in took.items()})

    left = {path.name for path in Path(place).iterdir()}
    assert not any(name.startswith(("pixtrack-", "vllm_dist_", "pymp-")) for name in left), left
    assert not any(path.is_socket() for path in Path(place).iterdir())
    shutil.rmtree(place)

    answers = read_answers(journal)
    assert set(answers) == {request.index for request in requests}
    assert all(answer.final and answer.text for answer in answers.values())
    lines = journal.read_text().splitlines()[1:]
    indices = Counter(int(line.split('"index":')[1].split(",")[0]) for line in lines)
    assert set(indices.values()) == {1}, "a question was asked twice"
    kept = {index: answer.text for index, answer in (first | second).items() if index in answers}
    assert {index: answers[index].text for index in kept} == kept
    assert not [stray for stray in find_strays() if str(tmp_path) in stray.command]
