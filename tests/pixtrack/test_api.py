"""`import pixtrack`: evaluate, score, compare and load runs from Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pixtrack
from pixtrack import api
from pixtrack.configs.paths import Home
from tests.doubles.synthetic_runs import DatasetFactory

PYTHON = sys.executable


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetFactory:
    """Forty prepared questions in a data home of the test's own."""
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path))
    return DatasetFactory(Home(tmp_path), questions=40, images=10)


def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> Path:
    """Puts a program in the place of `python -m pixtrack`; the file that its arguments go to."""
    given = tmp_path / "given.json"
    stand_in = tmp_path / "stand_in"
    stand_in.write_text(
        f"#!{PYTHON}\nimport json, sys, time\n"
        f"open({str(given)!r}, 'w').write(json.dumps(sys.argv[3:]))\n{program}"
    )
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    return given


def test_importing_it_imports_nothing_else() -> None:
    program = (
        "import sys; before = set(sys.modules); import pixtrack; dir(pixtrack);"
        "print([m for m in set(sys.modules) - before if m.split('.')[0] not in"
        " sys.stdlib_module_names and m != 'pixtrack'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_everything_that_is_offered_is_there_and_says_what_it_does() -> None:
    assert set(pixtrack.__all__) <= set(dir(pixtrack))
    assert set(api.__all__) | {"__version__"} == set(pixtrack.__all__)
    for name in api.__all__:
        assert getattr(pixtrack, name).__doc__, name
    assert pixtrack.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        _ = pixtrack.evalute


def test_a_run_is_loaded_by_what_names_it(data: DatasetFactory) -> None:
    made = data.run("model-a")
    run = pixtrack.load_run(f"model-a@{data.name}")
    assert run.directory == made.path == pixtrack.load_run(made.path).directory
    assert (run.model, run.dataset, run.status) == ("model-a", data.name, "completed")
    assert run.headline == run.metrics[run.summary.headline]
    assert len(run.scores) == 40 and run.summary.headline in run.scores.columns
    assert run.name in repr(run)
    with pytest.raises(pixtrack.UserError, match="unknown run 'model-z"):
        pixtrack.load_run("model-z@nowhere")


def test_runs_are_compared_and_the_page_is_written_where_asked(
    data: DatasetFactory, tmp_path: Path
) -> None:
    data.run("model-a")
    data.run("model-b")
    first = pixtrack.load_run(f"model-a@{data.name}")
    comparison = pixtrack.compare(first, f"model-b@{data.name}", baseline=first)
    (dataset,) = comparison.datasets
    assert dataset.row(dataset.baseline).model == "model-a"
    assert comparison.verdict and not (tmp_path / "page").exists()
    pixtrack.compare(first, f"model-b@{data.name}", out=tmp_path / "page")
    assert (tmp_path / "page" / "index.html").is_file()
    with pytest.raises(pixtrack.UserError, match="nothing to compare"):
        pixtrack.compare(first)


@pytest.fixture(name="annotations")
def _annotations(tmp_path: Path) -> Path:
    file = tmp_path / "val.jsonl"
    rows = [
        {"image": "a.png", "question": f"{i}?", "answer": [str(i)], "question_id": i}
        for i in range(3)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_predictions_are_scored_from_values_and_from_a_file(
    annotations: Path, tmp_path: Path
) -> None:
    said = {0: "0", 1: "1", 2: "wrong"}
    scores = pixtrack.score("docvqa_val", said, annotations=annotations)
    assert scores.headline == "anls"
    assert scores.metrics["anls"].value == pytest.approx(200 / 3)
    assert list(scores.table["anls"]) == [1.0, 1.0, 0.0]
    file = tmp_path / "said.jsonl"
    rows = [{"index": index, "prediction": text} for index, text in said.items()]
    file.write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out"
    again = pixtrack.score("docvqa_val", file, annotations=annotations, out=out)
    assert again.metrics == scores.metrics
    assert json.loads((out / "summary.json").read_text())["n"] == 3


def test_what_is_wrong_with_predictions_is_said_without_a_file_that_nobody_knows(
    annotations: Path,
) -> None:
    with pytest.raises(pixtrack.UserError, match=r"^predictions: .*2"):
        pixtrack.score("docvqa_val", {0: "0", 1: "1"}, annotations=annotations)


def test_evaluate_gives_the_command_its_arguments_and_returns_the_run(
    data: DatasetFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made = data.run("model-a")
    large = "x" * 200_000  # more than a pipe holds
    outcome = json.dumps({"run_dir": str(made.path), "more": large})
    given = command(
        monkeypatch, tmp_path,
        f"print({outcome!r}, flush=True); print('pixtrack: 3 of 4', file=sys.stderr)",
    )  # fmt: skip
    run = pixtrack.evaluate(
        "sample", "model-a", limit=4, engine={"quantization": "fp8", "max_model_len": 512},
        options=["--timings"],
    )  # fmt: skip
    assert run.directory == made.path
    assert json.loads(given.read_text()) == [
        "eval", "--dataset=sample", "--model=model-a", "--limit=4",
        '--engine=quantization="fp8"', "--engine=max_model_len=512", "--timings", "--json",
    ]  # fmt: skip
    assert "3 of 4" in capsys.readouterr().err


def test_what_the_command_ends_with_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(
        monkeypatch, tmp_path,
        "print('loading', file=sys.stderr); print('pixtrack: no GPU: get one', file=sys.stderr);"
        "sys.exit(2)",
    )  # fmt: skip
    with pytest.raises(pixtrack.UserError, match=r"^no GPU: get one$"):
        pixtrack.evaluate("sample")


def test_a_group_is_for_evaluate_all(
    data: DatasetFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(pixtrack.UserError, match=r"text_rich is a group .*evaluate_all"):
        pixtrack.evaluate("text_rich")
    made = data.run("model-a")
    outcome: dict[str, Any] = {
        "group": "g",
        "runs": [{"run_dir": str(made.path)}] * 2,
        "not_run": [],
    }
    command(monkeypatch, tmp_path, f"print({json.dumps(outcome)!r})")
    assert [run.directory for run in pixtrack.evaluate_all("g")] == [made.path] * 2
    outcome["not_run"] = [{"dataset": "d", "error": "the hub is away"}]
    command(monkeypatch, tmp_path, f"print({json.dumps(outcome)!r})")
    with pytest.raises(pixtrack.UserError, match="d: the hub is away"):
        pixtrack.evaluate_all("g")


def test_an_interrupted_evaluation_ends_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(monkeypatch, tmp_path, "print('started', file=sys.stderr, flush=True); time.sleep(60)")

    class Interrupting:
        """A stderr on which Ctrl-C arrives with the first line."""

        def write(self, text: str) -> None:
            raise KeyboardInterrupt

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stderr", Interrupting())
    started: list[Any] = []
    popen = subprocess.Popen

    def noted(*args: Any, **kwargs: Any) -> Any:
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    with pytest.raises(KeyboardInterrupt):
        pixtrack.evaluate("sample")
    assert started[0].poll() is not None
