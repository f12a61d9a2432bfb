"""Whole flows through an endpoint's double: real Prefect server, SQLite MLflow, no vLLM."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from PIL import Image

from pixtrack.tasks.runs.journal import read_answers
from pixtrack.tasks.tracking.lifecycle import reap
from tests.doubles.endpoint import Endpoint, Reply, completion, held_after
from tests.doubles.patience import wait_until
from tests.doubles.processes import alive, below

ROOT = Path(__file__).resolve().parents[2]
PIXTRACK = Path(sys.executable).parent / "pixtrack"

pytestmark = [pytest.mark.server]

SERVER: dict[str, str] = {}
"""PREFECT_API_URL of the one server that all commands here share: each would start its own."""


def environment(home: Path, url: str = "", **more: str) -> dict[str, str]:
    hidden = ("PREFECT_API_URL", "PREFECT_HOME", "MLFLOW_TRACKING_URI", "OPENAI_BASE_URL")
    kept = {key: value for key, value in os.environ.items() if key not in hidden}
    kept |= SERVER
    address = {"OPENAI_BASE_URL": url} if url else {}
    return {**kept, "PIXTRACK_HOME": str(home), "HOME": str(home), **address, **more}


def pixtrack(
    home: Path, *arguments: str, url: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """The command, run from a directory that is not the project's."""
    return subprocess.run(
        [str(PIXTRACK), *arguments],
        env=environment(home, url, **more),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=240,
    )


def started(home: Path, url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(PIXTRACK), *arguments],
        env=environment(home, url),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def evaluate(home: Path, url: str, limit: int, *more: str) -> subprocess.CompletedProcess[str]:
    command = ("eval", "--model", "endpoint", "--limit", str(limit), "--json", *more)
    return pixtrack(home, *command, url=url)


def record_of(home: Path, pattern: str) -> dict[str, Any]:
    (file,) = (home / "runs" / "sample").glob(f"{pattern}/run.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def mlflow_runs(home: Path) -> dict[str, Any]:
    """MLflow run by run id."""
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    return {run.info.run_id: run for run in client.search_runs(experiments)}


def one_line(stderr: str) -> str:
    """The message that a command died with: one line, no traceback."""
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("pixtrack: ")]
    return line


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data home for all, so that Prefect's and MLflow's databases are made once."""
    home = tmp_path_factory.mktemp("endpoint") / "a data home"
    home.mkdir()
    return home


@pytest.fixture(scope="module", autouse=True)
def use_the_server(prefect_api: str) -> Iterator[None]:
    """All commands here use one server."""
    SERVER["PREFECT_API_URL"] = prefect_api
    yield
    SERVER.clear()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Each test's own model, so that no test finds another's answers: the address differs."""
    with Endpoint(answer=lambda body: Reply(completion("42", prompt_tokens=100))) as endpoint:
        yield endpoint


def test_an_evaluation_runs_whole_and_its_mlflow_run_is_right(
    home: Path, endpoint: Endpoint
) -> None:
    done = evaluate(home, endpoint.url, 12)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout)
    assert (summary["n"], summary["answered"], summary["failed"]) == (12, 12, 0)
    assert len(endpoint.requests) == 12
    run = mlflow_runs(home)[summary["mlflow_run_id"]]
    assert run.info.status == "FINISHED"
    assert run.data.params["model.endpoint"] == endpoint.url
    assert run.data.params["model.served_model"] == "tiny"
    assert run.data.metrics["counts/answered"] == 12
    assert run.data.tags["engine"] == "openai"

    # Another look at it asks nothing.
    again = evaluate(home, endpoint.url, 12)
    assert again.returncode == 0, again.stderr[-3000:]
    assert json.loads(again.stdout)["metrics"] == summary["metrics"]
    assert len(endpoint.requests) == 12
    assert mlflow_runs(home)[summary["mlflow_run_id"]].info.status == "FINISHED"

    # Another model at the same address is another run, and does not find the first one's answers.
    endpoint.models = Reply({"data": [{"id": "other", "max_model_len": 4096}]})
    other = evaluate(home, endpoint.url, 12)
    assert other.returncode == 0, other.stderr[-3000:]
    assert json.loads(other.stdout)["mlflow_run_id"] != summary["mlflow_run_id"]
    assert len(endpoint.requests) == 24


def test_without_an_address_one_line_says_so_and_no_run_is_made(tmp_path: Path, home: Path) -> None:
    runs = len(list((home / "runs").glob("*/*")))
    done = evaluate(home, "", 12)
    assert (done.returncode, done.stdout) == (2, "")
    assert "set OPENAI_BASE_URL (http://host:port/v1)" in one_line(done.stderr)
    assert len(list((home / "runs").glob("*/*"))) == runs
    image = tmp_path / "a.png"
    Image.new("RGB", (40, 30)).save(image)
    described = pixtrack(home, "describe", str(image), "--model", "endpoint")
    assert described.returncode != 0 and described.stdout == ""
    assert "set OPENAI_BASE_URL (http://host:port/v1)" in one_line(described.stderr)


def test_refused_is_final_and_an_error_is_asked_again_each_counted_once(
    home: Path, endpoint: Endpoint
) -> None:
    endpoint.models = Reply({"data": [{"id": "refuses"}]})
    endpoint.replies = [Reply({"error": {"message": "too long"}}, 400)]
    for _ in range(2):  # the second time nothing is left to ask, and the outcome is the same
        done = evaluate(home, endpoint.url, 10)
        summary = json.loads(done.stdout)
        assert (done.returncode, summary["answered"], summary["failed"]) == (1, 9, 1)
        assert "1 of 10 samples failed, more than" in one_line(done.stderr)
        assert mlflow_runs(home)[summary["mlflow_run_id"]].info.status == "FAILED"
        assert len(endpoint.requests) == 10
    journal = Path(summary["run_dir"]) / "answers.jsonl"
    journal.write_text(journal.read_text().replace('"refused"', '"error"'))
    done = evaluate(home, endpoint.url, 10)
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["answered"], summary["failed"]) == (0, 10, 0)
    assert len(endpoint.requests) == 11
    assert mlflow_runs(home)[summary["mlflow_run_id"]].info.status == "FINISHED"


def test_an_engine_that_dies_leaves_a_failed_run_that_the_next_command_finishes(
    home: Path, endpoint: Endpoint
) -> None:
    endpoint.models = Reply({"data": [{"id": "revoked"}]})
    endpoint.replies = [Reply(completion("42")) for _ in range(4)]
    healthy, endpoint.answer = endpoint.answer, lambda body: Reply({"error": "revoked"}, 401)
    done = evaluate(home, endpoint.url, 11)
    assert (done.returncode, done.stdout) == (3, "")
    assert "set OPENAI_API_KEY to a valid key" in one_line(done.stderr)
    record = record_of(home, "*first11*")
    assert record["status"] == "failed"
    answered = len(read_answers(home / "runs/sample" / record["name"] / "answers.jsonl"))
    assert [one["asked"] for one in record["invocations"]] == [answered]
    assert mlflow_runs(home)[record["mlflow_run_id"]].info.status == "FAILED"
    endpoint.answer = healthy
    asked = len(endpoint.requests)
    again = evaluate(home, endpoint.url, 11)
    assert again.returncode == 0, again.stderr[-3000:]
    assert json.loads(again.stdout)["mlflow_run_id"] == record["mlflow_run_id"]
    assert len(endpoint.requests) == asked + 11 - answered
    assert mlflow_runs(home)[record["mlflow_run_id"]].info.status == "FINISHED"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_run_is_marked_so_and_a_second_process_is_turned_away(
    home: Path, endpoint: Endpoint, number: signal.Signals
) -> None:
    endpoint.models = Reply({"data": [{"id": f"slow-{number.name}"}]})
    # Late enough for the command to be told of answers, which it is twice a second.
    endpoint.answer = held_after(20, threading.Event(), delay_seconds=0.7)
    limit = str(200 + number)
    command = ("eval", "--model", "endpoint", "--limit", limit, "--json")
    process = started(home, endpoint.url, *command)
    try:
        wait_until(lambda: len(endpoint.requests) > 20, "the run is in its middle", 120)
        record = record_of(home, f"*first{limit}*")
        journal = home / "runs" / "sample" / record["name"] / "answers.jsonl"
        wait_until(lambda: len(read_answers(journal)) == 20, "all that is answered is written")
        if number == signal.SIGINT:
            second = pixtrack(home, *command, url=endpoint.url)
            assert (second.returncode, second.stdout) == (2, "")
            assert "another command is at work on this run" in one_line(second.stderr)
            record = record_of(home, f"*first{limit}*")
            assert record["status"] == "running"
            assert mlflow_runs(home)[record["mlflow_run_id"]].info.status == "RUNNING"
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert stdout == ""
    assert "the same command goes on from there" in one_line(stderr)
    record = record_of(home, f"*first{limit}*")
    assert record["status"] == "cancelled"
    asked = sum(invocation["asked"] for invocation in record["invocations"])
    # What it was not told of in time the next command finds in the journal.
    assert asked <= 20 and (asked > 0 or number == signal.SIGTERM)
    assert mlflow_runs(home)[record["mlflow_run_id"]].info.status == "KILLED"


def test_an_address_is_one_run_however_it_is_written_and_its_password_goes_nowhere(
    home: Path, endpoint: Endpoint
) -> None:
    plain = endpoint.url.removesuffix("/v1").replace("127.0.0.1", "localhost")
    secret = plain.replace("http://", "http://annie:t0ps3cret@") + "/v1/?key=h1dden"
    first = evaluate(home, secret, 13)
    assert first.returncode == 0, first.stderr[-3000:]
    assert len(endpoint.requests) == 13
    assert all(
        target.endswith("?key=h1dden") and "Authorization" in headers
        for target, headers in zip(endpoint.targets, endpoint.headers, strict=True)
    )
    for written in (f"{plain}/v1", f"{plain.upper()}/".replace("HTTP", "http")):
        again = evaluate(home, written, 13)
        assert json.loads(again.stdout)["run_dir"] == json.loads(first.stdout)["run_dir"]
    assert len(endpoint.requests) == 13
    run = mlflow_runs(home)[json.loads(first.stdout)["mlflow_run_id"]]
    assert run.data.params["model.endpoint"] == f"{plain}/v1"
    told = first.stdout + first.stderr
    written_files = [path for path in home.rglob("*") if path.is_file()]
    for word in ("t0ps3cret", "h1dden", "annie"):
        assert word not in told
        assert [path for path in written_files if word.encode() in path.read_bytes()] == []


def test_what_a_killed_command_has_asked_is_accounted_for_by_the_next_one(
    home: Path, endpoint: Endpoint
) -> None:
    endpoint.models = Reply({"data": [{"id": "killed"}]})
    release = threading.Event()
    endpoint.answer = held_after(60, release)
    process = started(home, endpoint.url, "eval", "--model", "endpoint", "--limit", "140", "--json")
    try:
        wait_until(lambda: len(endpoint.requests) > 60, "the run is in its middle", 120)
        (journal,) = (home / "runs" / "sample").glob("*first140*/answers.jsonl")
        wait_until(lambda: len(read_answers(journal)) == 60, "all that is answered is written")
        engine = below(process.pid)
    finally:
        process.kill()
        process.communicate()
    wait_until(lambda: not alive(engine), "the engine has ended with its command")
    release.set()
    before = read_answers(journal)
    assert len(before) == 60
    assert record_of(home, "*first140*")["invocations"] == []
    done = evaluate(home, endpoint.url, 140)
    assert done.returncode == 0, done.stderr[-3000:]
    killed, last = record_of(home, "*first140*")["invocations"]
    assert (killed["status"], killed["reconstructed"], killed["asked"]) == (
        "killed",
        True,
        len(before),
    )
    assert killed["seconds"] >= max(answer.seconds for answer in before.values())
    assert last["asked"] == 140 - len(before) and last["started"] > killed["started"]
    total = killed["seconds"] + last["seconds"]
    summary = json.loads(done.stdout)
    assert summary["inference_seconds"] == pytest.approx(total)
    logged = mlflow_runs(home)[summary["mlflow_run_id"]].data.metrics
    assert logged["perf/samples_per_s"] == pytest.approx(140 / total, abs=0.01)
    # It is accounted for once.
    evaluate(home, endpoint.url, 140)
    assert record_of(home, "*first140*")["invocations"] == [killed, last]


def study_configs(folder: Path, urls: dict[str, str]) -> Path:
    """A configuration folder whose only models are endpoints; "" is one that nobody serves."""
    for kind in ("datasets", "prompts"):
        shutil.copytree(ROOT / "configs" / kind, folder / kind)
    (folder / "models").mkdir()
    for name, url in urls.items():
        source = f"kind: endpoint\n  base_url: {url}\n  served_model: tiny"
        (folder / "models" / f"{name}.yaml").write_text(
            f"title: {name}\nsource:\n  {source}\nformat: endpoint\nfamily: endpoint\n"
            "parameters_billions: 0\nlicence: none\n"
        )
    return folder


def test_a_study_goes_on_past_a_failed_cell_and_a_model_that_cannot_run(
    home: Path, endpoint: Endpoint, tmp_path: Path
) -> None:
    with Endpoint() as nobody:
        gone = nobody.url

    def answer(body: dict[str, Any]) -> Reply:
        # The setup guide's prompt kills the engine, in the middle of the study.
        if "without any lengthy descriptions" in json.dumps(body["messages"]):
            return Reply({"error": "revoked"}, 401)
        return Reply(completion("42"))

    endpoint.answer = answer
    configs = study_configs(tmp_path / "configs", {"good": endpoint.url, "gone": gone})
    study = tmp_path / "three.yaml"
    study.write_text(
        "title: three prompts\nmodels: [gone, good]\ndatasets: [sample]\n"
        "prompts: [default, setup_guide, plain, mistral_evals]\nlimit: 9\nbaseline: gone\n"
    )
    done = pixtrack(home, "study", str(study), "--json", PIXTRACK_CONFIGS=str(configs))
    assert done.returncode == 1, done.stderr[-3000:]
    outcome = json.loads(done.stdout)
    assert [(row["model"], row["prompt"], row["status"]) for row in outcome["cells"]] == [
        ("gone", "plain", "failed"),
        ("gone", "setup_guide", "failed"),
        ("gone", "mistral_evals", "failed"),
        ("good", "plain", "completed"),
        ("good", "setup_guide", "failed"),
        ("good", "mistral_evals", "completed"),
    ]
    errors = [row["error"] for row in outcome["cells"]]
    assert all("cannot be reached" in error for error in errors[:3])
    assert "set OPENAI_API_KEY to a valid key" in errors[4]
    assert outcome["comparison"]["verdict"]
    assert "Traceback" not in done.stderr
    statuses = {
        path.parent.name.rsplit("--", 2)[0]: json.loads(path.read_text())["status"]
        for path in (home / "runs" / "sample").glob("go*--first9--*/run.json")
    }
    assert statuses == {
        "gone--plain": "failed", "gone--setup_guide": "failed", "gone--mistral_evals": "failed",
        "good--plain": "completed", "good--setup_guide": "failed",
        "good--mistral_evals": "completed",
    }  # fmt: skip


def test_rows_that_cannot_be_asked_fail_the_run_and_any_dataset_name_will_do(
    home: Path, endpoint: Endpoint, tmp_path: Path
) -> None:
    configs = study_configs(tmp_path / "configs", {"good": endpoint.url})
    Image.new("RGB", (50, 40)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not an image")
    rows = [{"image": f"{name}.png", "question": "?", "answer": ["42"]} for name in "aab"]
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (configs / "datasets" / "My.receipts.yaml").write_text(
        f"title: mine\nsource:\n  kind: annotations\n  qa_file: {tmp_path}/qa.jsonl\n"
        f"  img_folder: {tmp_path}\nmetrics: [anls]\nheadline: anls\nprompt: plain\nlicence: mine\n"
    )
    command = ("eval", "--model", "good", "--dataset", "My.receipts", "--json")
    done = pixtrack(home, *command, PIXTRACK_CONFIGS=str(configs))
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    assert (summary["n"], summary["answered"], summary["failed"]) == (3, 2, 1)
    assert "pixtrack errors --only failed" in one_line(done.stderr)
    shown = pixtrack(home, "errors", "--only", "failed", PIXTRACK_CONFIGS=str(configs))
    assert "b.png" in shown.stdout


def test_a_prefect_server_that_is_away_is_one_line(home: Path) -> None:
    dead = "http://127.0.0.1:9/api"
    done = pixtrack(home, "eval", "--model", "endpoint", url=dead, PREFECT_API_URL=dead)
    assert (done.returncode, done.stdout) == (2, "")
    assert "http://127.0.0.1:9/api (PREFECT_API_URL) cannot be reached" in one_line(done.stderr)


def test_nothing_is_left_running_in_mlflow(home: Path) -> None:
    assert reap(f"sqlite:///{home / 'mlflow.db'}") == 0
    assert {run.info.status for run in mlflow_runs(home).values()} <= {
        "FINISHED", "FAILED", "KILLED",
    }  # fmt: skip
