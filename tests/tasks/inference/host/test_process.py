"""The inference child from the flow's side: the real worker, with an endpoint for an engine.

The endpoint takes the place of vLLM, which takes a quarter of a minute to start; test_vllm.py and
test_kill.py do the same with vLLM.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Signal

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.host import startup
from pixtrack.tasks.inference.host.environment import (
    COMPILATION_CACHES,
    child_environment,
    find_python,
)
from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.records import Answer, ImageRef, Request
from pixtrack.tasks.runs.journal import Journal, read_answers
from pixtrack.tasks.runs.protocol import EngineSpec
from tests.doubles.asking import FINGERPRINT, run_jobs, until, write_job
from tests.doubles.endpoint import Endpoint, Reply, completion, endpoint_spec, held_after
from tests.doubles.patience import at_most, processor_at_most, wait_until
from tests.doubles.processes import alive, below, run_code

Ask = Callable[[int, int], list[Request]]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(answer=lambda body: Reply(completion("42", prompt_tokens=100))) as endpoint:
        yield endpoint


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for temporary files of the test's own, with a path that is short enough."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def test_a_job_goes_through_and_every_event_carries_the_counts(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    job = write_job(tmp_path, ask_about(3, 2))
    with EngineProcess(endpoint_spec(endpoint), tmp_path / "engine.log") as process:
        events = run_jobs(process, job)
        kinds = list(dict.fromkeys(event.event for event in events))
        assert kinds == ["starting", "ready", "progress", "job_done", "closed"]
        assert process.pid is None or wait_until(lambda: process.pid is None, "it ended")
    assert events[1].details["served_model"] == "tiny"
    assert (events[2].total, events[2].done, events[2].job_id) == (6, 0, "job")
    done = events[-2]
    assert (done.total, done.done, done.failed, done.truncated) == (6, 6, 0, 0)
    assert done.images == 3
    assert (done.prompt_tokens, done.output_tokens, done.elapsed_seconds > 0) == (600, 12, True)
    answers = read_answers(tmp_path / "answers.jsonl")
    assert {index: answer.text for index, answer in answers.items()} == dict.fromkeys(
        range(6), "42"
    )


def test_only_what_has_no_final_answer_is_asked(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    job = write_job(tmp_path, ask_about(2, 3))
    with Journal(tmp_path / "answers.jsonl", FINGERPRINT) as journal:
        journal.append(Answer(0, "old", "stop"))
        journal.append(Answer(1, "", "error", error="HTTP 503"))
        journal.append(Answer(2, "", "refused", error="too long"))
    with EngineProcess(endpoint_spec(endpoint), tmp_path / "engine.log") as process:
        done = run_jobs(process, job)[-2]
    assert (done.total, done.done, done.already_answered) == (6, 4, 2)
    answers = read_answers(tmp_path / "answers.jsonl")
    assert answers[0].text == "old" and answers[2].finish_reason == "refused"
    assert answers[1].text == "42" and len(endpoint.requests) == 4


def test_a_job_that_fails_does_not_stop_the_next(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    other = write_job(tmp_path / "other", ask_about(1, 1), job_id="other")
    with Journal(Path(other.journal_path), "another fingerprint"):
        pass
    missing = write_job(tmp_path / "missing", [], job_id="missing")
    Path(missing.requests_path).unlink()
    good = write_job(tmp_path / "good", ask_about(1, 1), job_id="good")
    with EngineProcess(endpoint_spec(endpoint), tmp_path / "engine.log") as process:
        events = {event.job_id: event for event in run_jobs(process, other, missing, good)}
    assert events["other"].event == "job_failed"
    assert "belong to another run" in events["other"].message
    assert "requests.jsonl: the run's requests cannot be read" in events["missing"].message
    assert events["good"].event == "job_done"


def test_jobs_may_come_late_and_one_engine_serves_them_all(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    with EngineProcess(endpoint_spec(endpoint), tmp_path / "engine.log") as process:
        events = process.events()
        until(events, "ready")
        for name in ("a", "b"):
            process.submit(write_job(tmp_path / name, ask_about(1, 2), job_id=name))
            assert until(events, "job_done")[-1].job_id == name
        process.no_more_jobs()
        process.no_more_jobs()
        assert [event.event for event in events] == ["closed"]


def test_refused_and_truncated_answers_are_counted(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    endpoint.replies = [
        Reply({"error": {"message": "too long"}}, 400),
        Reply(completion("4", "length")),
    ]
    job = write_job(tmp_path, ask_about(1, 4))
    with EngineProcess(
        endpoint_spec(endpoint, max_concurrency=1), tmp_path / "engine.log"
    ) as process:
        done = run_jobs(process, job)[-2]
    assert (done.event, done.done, done.failed, done.truncated) == ("job_done", 4, 1, 1)
    refused = read_answers(tmp_path / "answers.jsonl")[0]
    assert refused.finish_reason == "refused" and "too long" in refused.error


def test_an_engine_that_does_not_start_says_why_in_one_line(tmp_path: Path) -> None:
    with Endpoint() as gone:
        url = gone.url
    log = tmp_path / "logs" / "engine.log"
    with EngineProcess(endpoint_spec(url), log) as process:
        failed = run_jobs(process)[-1]
    assert failed.event == "engine_failed" and "\n" not in failed.message
    assert "cannot be reached" in failed.message and failed.details["log"] == str(log)


def test_an_engine_that_dies_in_mid_run_keeps_what_is_answered(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A key that is withdrawn ends the run at once, as a dead engine does.
    endpoint.replies = [Reply(completion(f"{n}")) for n in range(3)]
    endpoint.answer = lambda body: Reply({"error": {"message": "revoked"}}, 401)
    job = write_job(tmp_path, ask_about(3, 2))
    with EngineProcess(
        endpoint_spec(endpoint, max_concurrency=1), tmp_path / "engine.log"
    ) as process:
        events = run_jobs(process, job)
    failed = next(event for event in events if event.event == "job_failed")
    assert "revoked" in failed.message and failed.done == 3
    assert len(read_answers(tmp_path / "answers.jsonl")) == 3


@pytest.mark.parametrize("way", ["close", "exception", "before ready"])
def test_nothing_is_left_however_the_block_ends(
    way: str, endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    endpoint.answer = held_after(6, Signal())
    job = write_job(tmp_path, ask_about(12, 4))
    pids: list[int] = []
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117
        with EngineProcess(
            endpoint_spec(endpoint, max_concurrency=2), tmp_path / "engine.log"
        ) as process:
            assert process.pid
            if way != "before ready":
                process.submit(job)
                wait_until(lambda: len(endpoint.requests) > 7, "asking")
            wait_until(lambda: below(process.pid or 0), "the worker runs")
            pids = [process.pid, *below(process.pid)]
            if way == "close":
                with at_most(process.grace_seconds):  # it ends before it would be killed
                    process.close()
                    process.close()
                assert not alive(pids)
            1 / 0  # noqa: B018
    assert pids and not alive(pids)
    if way != "before ready":
        answered = read_answers(tmp_path / "answers.jsonl")
        assert len(answered) == 6
        with Journal(tmp_path / "answers.jsonl", FINGERPRINT) as journal:
            assert not journal.repaired


def test_a_guard_that_is_killed_takes_the_worker_with_it(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path, place: Path
) -> None:
    endpoint.answer = held_after(6, Signal())
    with EngineProcess(
        endpoint_spec(endpoint, max_concurrency=2), tmp_path / "engine.log"
    ) as process:
        process.submit(write_job(tmp_path, ask_about(12, 4)))
        wait_until(lambda: len(endpoint.requests) > 7, "asking")
        assert process.pid
        pids = below(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: not alive(pids), "the worker has ended")
        assert len(list(place.glob("pixtrack-*"))) == 1
    assert list(place.iterdir()) == []  # nobody else was there to do it
    with Journal(tmp_path / "answers.jsonl", FINGERPRINT) as journal:
        assert len(journal.answers()) == 6 and not journal.repaired


def test_a_flow_that_reads_no_events_holds_nothing_up(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path
) -> None:
    job = write_job(tmp_path, ask_about(12, 20))
    with EngineProcess(endpoint_spec(endpoint), tmp_path / "engine.log") as process:
        process.submit(job)
        journal = tmp_path / "answers.jsonl"
        wait_until(lambda: len(read_answers(journal)) == 240, "all is answered")


def test_a_missing_interpreter_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXTRACK_VLLM_PYTHON", str(tmp_path / "python"))
    with (
        pytest.raises(UserError, match=r"PIXTRACK_VLLM_PYTHON=.*: no such interpreter: set it"),
        EngineProcess(
            EngineSpec(engine="vllm", model_dir="/m", format="hf", family=""),
            tmp_path / "engine.log",
        ),
    ):
        pass


def test_an_endpoint_needs_no_interpreter_that_has_vllm(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXTRACK_VLLM_PYTHON", str(tmp_path / "python"))
    with EngineProcess(endpoint_spec(endpoint), tmp_path / "engine.log") as process:
        events = run_jobs(process, write_job(tmp_path, ask_about(1, 1)))
    assert [event.event for event in events][-2:] == ["job_done", "closed"]


def interpreter(folder: Path, script: str) -> str:
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "said", "remedy"),
    [
        (
            "echo \"ModuleNotFoundError: No module named 'pydantic'\" >&2; exit 1",
            "has no module 'pydantic'",
            "PIXTRACK_VLLM_PYTHON",
        ),
        ("echo 'libpython3.9.so.1.0: cannot open' >&2; exit 127", "libpython3.9.so.1.0", ""),
        ("kill -9 $$", "killed (SIGKILL): often the machine ran out of memory", ""),
        ("exit 3", "ended with exit code 3", ""),
    ],
)
def test_a_broken_interpreter_is_one_clear_line(
    script: str, said: str, remedy: str, tmp_path: Path
) -> None:
    python = interpreter(tmp_path, script)
    with EngineProcess(endpoint_spec("http://x"), tmp_path / "engine.log", python) as process:
        (failed,) = list(process.events())
    assert failed.event == "engine_failed" and said in failed.message
    assert remedy in failed.remedy and "\n" not in failed.message


def test_an_interpreter_without_vllm_says_what_to_do(
    tiny_spec: EngineSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "vllm"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('no vllm', name='vllm')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with EngineProcess(tiny_spec, tmp_path / "engine.log") as process:
        failed = list(process.events())[-1]
    assert f"{sys.executable} has no vLLM: `make setup` installs it" in failed.message


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("params.json", "no params.json, which a model in mistral format has"),
        ("tekken.json", "no tekken.json or "),
        ("consolidated.safetensors", "no consolidated*.safetensors or "),
        ("", "no such directory of a model"),
    ],
)
def test_a_model_whose_files_are_not_all_there_is_told_before_vllm_is_imported(
    missing: str,
    said: str,
    random_checkpoint: Path,
    tiny_spec: EngineSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    model = tmp_path / "model"
    if missing:
        shutil.copytree(random_checkpoint, model)
        (model / missing).unlink()
    spec = tiny_spec.model_copy(update={"model_dir": str(model)})
    with EngineProcess(spec, tmp_path / "engine.log") as process:
        failed = list(process.events())[-1]
    imported = (tmp_path / "engine.log").read_text(encoding="utf-8", errors="replace")
    assert "import time:" in imported and not re.search(r"\| +(vllm|torch)$", imported, re.M)
    assert failed.event == "engine_failed"
    assert failed.message.startswith(str(model)) and said in failed.message


def test_the_interpreter_is_found_by_name_and_a_virtual_environments_link_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "python3"
    link.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_python("python3") == str(link)
    monkeypatch.delenv("PIXTRACK_VLLM_PYTHON", raising=False)
    assert find_python() == sys.executable


def test_what_lies_in_the_current_directory_is_not_imported(
    endpoint: Endpoint, ask_about: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pixtrack", "pydantic", "requests", "json"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('from the current directory')")
    monkeypatch.chdir(tmp_path)
    job = write_job(tmp_path / "run", ask_about(1, 1))
    with EngineProcess(endpoint_spec(endpoint), tmp_path / "engine.log") as process:
        assert run_jobs(process, job)[-2].event == "job_done"


def test_only_our_package_comes_from_our_root(tmp_path: Path) -> None:
    for name in ("pixtrack", "pydantic"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    code = "import pixtrack, pydantic; print(pixtrack.__file__, pydantic.__file__)"
    done = run_code(code, [startup.DIRECTORY], PIXTRACK_ROOT=str(tmp_path))
    ours, theirs = done.stdout.split()
    assert ours == str(tmp_path / "pixtrack" / "__init__.py") and str(tmp_path) not in theirs


def test_the_users_own_environment_wins() -> None:
    made = child_environment({"HF_HUB_OFFLINE": "0", "PYTHONPATH": "/theirs"}, "/scratch")
    assert made["HF_HUB_OFFLINE"] == "0" and made["VLLM_NO_USAGE_STATS"] == "1"
    assert made["PYTHONPATH"] == f"{startup.DIRECTORY}:/theirs"


def test_the_child_has_a_temporary_folder_of_its_own_and_keeps_what_it_compiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = child_environment({"TMPDIR": "/theirs"}, "/scratch")
    assert (made["TMPDIR"], made["VLLM_RPC_BASE_PATH"]) == ("/scratch", "/scratch")
    monkeypatch.setenv("PIXTRACK_HOME", "/home/of/data")
    kept = {name: child_environment({}, "/scratch")[name] for name in COMPILATION_CACHES}
    assert {Path(folder).parent for folder in kept.values()} == {Path("/home/of/data/compiled")}
    assert len(set(kept.values())) == len(kept)
    theirs = child_environment({"TORCHINDUCTOR_CACHE_DIR": "/kept"}, "/scratch")
    assert theirs["TORCHINDUCTOR_CACHE_DIR"] == "/kept"


def test_the_child_imports_nothing_that_vllm_does_not_bring() -> None:
    code = (
        "import sys, pixtrack.tasks.inference.worker.main, pixtrack.tasks.inference.engines.vllm\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = set(run_code(code, []).stdout.split())
    assert {"pydantic", "pixtrack"} <= loaded
    assert not loaded & {"pyarrow", "pandas", "prefect", "mlflow", "rich", "typer", "vllm", "torch"}


def test_the_answers_cost_next_to_nothing_on_their_way(
    ask_about: Ask, tmp_path: Path, drawn_images: list[ImageRef]
) -> None:
    path = tmp_path / "answers.jsonl"
    with processor_at_most(4), Journal(path, FINGERPRINT) as journal:  # 2 ms each
        for index in range(2000):
            journal.append(Answer(index, "42", "stop", 1000, 900, 2, 0.1, 0.2))
