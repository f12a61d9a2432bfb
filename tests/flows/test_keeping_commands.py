"""`runs note|tag|archive|delete`, `datasets remove`, `clean` and `--dry-run`, as a user types them."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from typer.testing import CliRunner, Result

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.flows.cli.main import app
from pixtrack.tasks.comparison import resolve_run, stored_runs
from pixtrack.tasks.datasets.samples_file import write_samples
from pixtrack.tasks.records import Answer, Sample
from pixtrack.tasks.runs.journal import Journal
from tests.doubles.finished_runs import finished_run
from tests.doubles.recorder import MemoryRecorder
from tests.doubles.synthetic_runs import DatasetFactory


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A data home with two runs, alpha and beta, on a dataset with an image store."""
    found = Home(tmp_path / "home")
    docs = DatasetFactory(found, questions=6, images=3, pixels=(40, 50))
    finished_run(docs, "alpha", created="2026-01-01T00:00:00+00:00")
    finished_run(docs, "beta", created="2026-01-02T00:00:00+00:00")
    (tmp_path / "configs").mkdir()
    monkeypatch.setenv("PIXTRACK_HOME", str(found.root))
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return found


def pixtrack(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def done(*words: str) -> str:
    result = pixtrack(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*words: str) -> str:
    result = pixtrack(*words)
    assert isinstance(result.exception, UserError), (result.output, result.exception)
    return str(result.exception)


def listed(*words: str) -> list[str]:
    return [row["model"] for row in json.loads(done("runs", *words, "--json"))]


def test_a_note_is_written_shown_and_removed(home: Home) -> None:
    assert "has no note" in done("runs", "note", "alpha@docvqa_val")
    done("runs", "note", "alpha@docvqa_val", "with [red]the new scanner")
    assert "with [red]the new scanner" in done("runs", "note", "alpha@docvqa_val")
    assert "with [red]the new scanner" in done("runs", "show", "alpha@docvqa_val")
    assert "removed" in done("runs", "note", "alpha@docvqa_val", "")
    assert resolve_run("alpha@docvqa_val", home).record.note == ""


def test_tags_select_runs(home: Home) -> None:
    del home
    assert done("runs", "tag", "alpha@docvqa_val", "paper", "v2", "paper").endswith("paper, v2\n")
    done("runs", "tag", "beta@docvqa_val", "paper")
    assert listed("--tag", "paper") == ["beta", "alpha"]
    assert listed("--tag", "paper", "--tag", "v2") == ["alpha"]
    assert "#paper" in done("runs")
    assert done("runs", "tag", "alpha@docvqa_val", "--remove", "paper").endswith(": v2\n")
    assert "use letters" in refused("runs", "tag", "alpha@docvqa_val", "two words")


def test_an_archived_run_is_out_of_sight_and_found_by_its_name(home: Home) -> None:
    name = resolve_run("beta@docvqa_val", home).record.name
    done("runs", "archive", "latest")
    assert listed() == ["alpha"] and listed("--archived") == ["beta", "alpha"]
    assert resolve_run("latest", home).record.model == "alpha"
    with pytest.raises(UserError):
        resolve_run("beta@docvqa_val", home)
    assert resolve_run(name, home).record.archived
    done("runs", "archive", name, "--undo")
    assert listed() == ["beta", "alpha"]


def test_answers_are_never_deleted_without_asking(home: Home) -> None:
    run = resolve_run("beta@docvqa_val", home)
    assert "a damaged journal" in refused("runs", "delete", "beta@docvqa_val")
    run.directory.journal_file.unlink(missing_ok=True)
    with Journal(run.directory.journal_file, run.record.fingerprint) as journal:
        for index in range(6):
            journal.append(Answer(index, "x", "stop"))
    said = refused("runs", "delete", "beta@docvqa_val")
    assert "6 answers" in said and "add --yes" in said and run.directory.path.exists()
    assert "deleted (6 answers" in done("runs", "delete", "beta@docvqa_val", "--yes")
    assert not run.directory.path.exists() and not list((home.root / ".deleted").iterdir())
    assert listed() == ["alpha"]


def test_a_run_that_is_at_work_is_left_alone(home: Home) -> None:
    run = resolve_run("beta@docvqa_val", home).directory
    (home.datasets / "docvqa_val").mkdir(parents=True)
    (home.datasets / "docvqa_val" / "dataset.json").write_text("{}")
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys; from filelock import FileLock\n"
         "lock = FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True)\n"
         "sys.stdin.read()", str(run.path / ".lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        for words in (
            ("runs", "delete", "latest", "--yes"), ("runs", "note", "latest", "x"),
            ("runs", "tag", "latest", "x"), ("runs", "archive", "latest"),
            ("clean", "datasets", "--yes"),
        ):  # fmt: skip
            assert "another command is at work on this run" in refused(*words), words
    finally:
        holder.communicate("")
    assert run.read_record() is not None and len(stored_runs(home)) == 2


def test_clean_shows_what_takes_the_room_and_removes_what_is_named(home: Home) -> None:
    spare = home.images / "ff" / f"{'f' * 64}.png"
    spare.parent.mkdir(parents=True, exist_ok=True)
    spare.write_bytes(b"x" * 5000)
    (home.root / "logs").mkdir()
    (home.root / "logs" / "engine.log").write_bytes(b"y" * 3000)
    rows = {(row["kind"], bool(row["back"])): row for row in json.loads(done("clean", "--json"))}
    assert rows["images", True]["bytes"] == 5000 and rows["logs", True]["bytes"] == 3000
    assert not rows["runs", False]["back"] and ("runs", True) not in rows
    shown = done("clean")
    assert "answers and scores" in shown and "clean KIND" in shown
    assert "add --yes" in refused("clean", "images")
    assert spare.exists()
    kept = {path for path in home.images.rglob("*.png") if path != spare}
    assert kept, "the runs' images are in the store"
    assert "removed 5 kB" in done("clean", "images", "--yes")
    assert not spare.exists() and all(path.exists() for path in kept)
    assert "nothing of images" in pixtrack("clean", "images", "--yes").output
    done("clean", "logs", "--yes")
    assert not list((home.root / "logs").iterdir()) and len(stored_runs(home)) == 2


def test_images_of_a_run_stay_where_its_dataset_was_prepared_anew_without_them(home: Home) -> None:
    shown = set(home.images.rglob("*.png"))
    (home.datasets / "docvqa_val").mkdir(parents=True)
    write_samples(
        home.datasets / "docvqa_val" / "samples.parquet", [Sample(0, "q", "What?", ())], {}
    )
    assert shown and "nothing of images" in pixtrack("clean", "images", "--yes").output
    assert all(path.exists() for path in shown)


@pytest.mark.parametrize("kind", ["answers", "runs", "mlflow", "../x"])
def test_clean_knows_no_word_for_answers(home: Home, kind: str) -> None:
    del home
    assert "unknown kind of thing to clean" in refused("clean", kind, "--yes")


def test_a_dataset_that_was_added_is_removed_and_its_questions_stay(
    home: Home, tmp_path: Path
) -> None:
    questions = tmp_path / "mine.csv"
    questions.write_text("question,answer\nWhat?,that\n")
    done("datasets", "add", "mine", "--qa-file", str(questions), "--text-only")
    done("datasets", "prepare", "mine")
    file = tmp_path / "configs" / "datasets" / "mine.yaml"
    assert file.exists() and (home.datasets / "mine").exists()
    assert "add --yes" in refused("datasets", "remove", "mine")
    assert "removed" in done("datasets", "remove", "mine", "--yes")
    assert not file.exists() and not (home.datasets / "mine").exists() and questions.exists()


def test_of_a_shipped_dataset_only_what_was_prepared_is_removed(home: Home) -> None:
    (home.datasets / "docvqa_val").mkdir(parents=True)
    (home.datasets / "docvqa_val" / "dataset.json").write_text("{}")
    result = pixtrack("datasets", "remove", "docvqa_val")
    assert "its 2 run(s) stay" in str(result.exception)
    done("datasets", "remove", "docvqa_val", "--yes")
    assert not (home.datasets / "docvqa_val").exists() and len(stored_runs(home)) == 2
    assert "docvqa_val" in done("datasets")
    assert "nothing to remove" in pixtrack("datasets", "remove", "docvqa_val").output


def test_a_dry_run_says_what_would_be_done_and_does_nothing(home: Home) -> None:
    before = sorted(home.root.rglob("*"))
    words = ("eval", "--model", "pixtral-nano", "--dataset", "docvqa_val", "--limit", "4")
    found: dict[str, Any] = json.loads(done(*words, "--dry-run", "--json"))
    (cell,) = found["cells"]
    assert (cell["dataset"], cell["questions"], cell["seconds"]) == ("docvqa_val", 4, None)
    assert {check["name"] for check in found["checks"]} >= {
        "disk", "model pixtral-nano", "memory for pixtral-nano",
    }  # fmt: skip
    assert "nothing is done" in done(*words, "--dry-run")
    assert sorted(home.root.rglob("*")) == before


def test_a_dry_run_estimates_the_time_by_earlier_runs_of_the_model(home: Home) -> None:
    docs = DatasetFactory(home, questions=6, images=3, pixels=(40, 50))
    run = finished_run(docs, "pixtral-nano", created="2026-01-03T00:00:00+00:00")
    record = run.read_record()
    assert record is not None
    record.invocations = [{"asked": 10, "seconds": 5.0}, {"asked": 0, "seconds": 0.0}]
    run.write_record(record)
    for model, seconds in (("pixtral-nano", 4.0), ("pixtral-nano-early", None)):
        words = ("eval", "--model", model, "--limit", "8", "--dry-run", "--json")
        (cell,) = json.loads(done(*words))["cells"]
        assert (cell["questions"], cell["to_ask"], cell["seconds"]) == (8, None, seconds)
    study = json.loads(done("study", "sample_models", "--dry-run", "--json"))
    assert [cell["model"] for cell in study["cells"]] == ["pixtral-nano", "pixtral-nano-early"]


def test_the_shell_completes_verbs_and_names(home: Home) -> None:
    environment = {**os.environ, "PIXTRACK_HOME": str(home.root)}
    for words, count, wanted in (
        ("pixtrack da", 1, "datasets"),
        ("pixtrack eval --model pixtral-n", 3, "pixtral-nano"),
        ("pixtrack runs show al", 3, "alpha"),
    ):
        shell = {
            "_PIXTRACK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)
        }  # fmt: skip
        found = subprocess.run(
            [sys.executable, "-m", "pixtrack"], env={**environment, **shell},
            capture_output=True, text=True,
        )  # fmt: skip
        assert wanted in found.stdout, (words, found.stdout, found.stderr)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--version",), 0),
        (("runs", "--dataset", "nowhere"), 0),
        (("runs", "show", "nothing-like-it"), 2),
        (("eval", "--limit", "none"), 2),
        (("no-such-verb",), 2),
        (("models", "verify", "pixtral-12b"), 1),
    ],
)
def test_exit_codes_are_those_of_the_documentation(
    home: Home, words: tuple[str, ...], code: int
) -> None:
    if code == 1:  # a download that was cut off
        (home.models / "pixtral-12b").mkdir(parents=True)
    environment = {**os.environ, "PIXTRACK_HOME": str(home.root)}
    found = subprocess.run(
        [sys.executable, "-m", "pixtrack", *words], env=environment, capture_output=True, text=True
    )
    assert found.returncode == code, found.stderr
    assert "Traceback" not in found.stderr
    if code == 2:
        assert found.stderr.strip()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_ends_a_command_with_its_code(home: Home, number: int, code: int) -> None:
    program = (
        "import os, sys, time\n"
        "from pixtrack.flows.cli import main\n"
        "from pixtrack.flows.session import quiet_terminal, reassures_when_cancelled\n"
        "@main.app.command('wait')\n"
        "def wait():\n"
        "    quiet_terminal()\n"
        "    with reassures_when_cancelled():\n"
        "        print('waiting', flush=True)\n"
        "        time.sleep(60)\n"
        "sys.argv = ['pixtrack', 'wait']\n"
        "main.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PIXTRACK_HOME": str(home.root)},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "waiting\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "what is answered is kept" in said


def test_a_model_that_is_downloaded_is_not_cleaned_away(home: Home) -> None:
    folder = home.models / "big"
    folder.mkdir(parents=True)
    (folder / "w.safetensors").write_bytes(b"x")
    held = FileLock(home.models / ".big.lock", is_singleton=False)
    with held:
        assert "another command is at work on it" in refused("clean", "models", "--yes")
    done("clean", "models", "--yes")
    assert not folder.exists()


def test_the_settings_of_the_command_reach_the_flow(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    del home
    given: dict[str, Any] = {}

    class Stopped(Exception):
        """Ends the command where the flow would begin."""

    class RecordingPrefect:
        """In place of a server: notes with which parameters the flow would run."""

        def __init__(self, home: Home) -> None: ...
        def start(self) -> None: ...
        def wait(self) -> None: ...
        def stop(self) -> None: ...

        def run(self, flow: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
            given.update(inspect.signature(flow.fn).bind(*arguments, **named).arguments)
            raise Stopped

    monkeypatch.setattr("pixtrack.flows.local_prefect.LocalPrefect", RecordingPrefect)
    monkeypatch.setattr("pixtrack.flows.session.quiet_terminal", lambda: None)
    monkeypatch.setattr("pixtrack.flows.cli.eval._start_engine", lambda *_: None)
    monkeypatch.setattr("pixtrack.tasks.tracking.default_recorder", MemoryRecorder)
    result = pixtrack(
        "eval", "--model", "pixtral-nano", "--temperature", "0.5", "--max-tokens", "7",
        "--system", "Be brief.", "--seed", "3", "--limit", "2",
    )  # fmt: skip
    assert isinstance(result.exception, Stopped), result.exception
    assert (given["temperature"], given["max_tokens"]) == (0.5, 7)
    assert (given["system"], given["seed"], given["limit"]) == ("Be brief.", 3, 2)
