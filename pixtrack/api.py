"""What `import pixtrack` offers: evaluate, score, compare and load runs from Python.

The functions do what the commands of the same names do, on the same data home (PIXTRACK_HOME) and
configurations (PIXTRACK_CONFIGS).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import dataset_names
from pixtrack.configs.paths import home
from pixtrack.tasks.comparison import Comparison, resolve_run
from pixtrack.tasks.processes import die_with_parent
from pixtrack.tasks.runs.directory import Interval, RunDirectory, RunRecord, RunSummary

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Comparison",
    "Interval",
    "Run",
    "Scores",
    "UserError",
    "compare",
    "evaluate",
    "evaluate_all",
    "load_run",
    "score",
]

_END_SECONDS = 60.0
"""What a command gets for closing its engine and records once it is told to end."""


@dataclass(frozen=True)
class Run:
    """A scored run: one model's answers to one dataset."""

    directory: Path
    """Where all of it lies: run.json, answers.jsonl, scores.parquet, …"""
    record: RunRecord
    """What was asked, by what, when, and where it is logged."""
    summary: RunSummary
    """The outcome, as `pixtrack eval --json` prints it."""

    @property
    def name(self) -> str:
        """The run's name: model--prompt--fingerprint."""
        return self.record.name

    @property
    def model(self) -> str:
        """The model's name in configs/models, or what an imported run calls it."""
        return self.record.model

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return self.record.dataset

    @property
    def prompt(self) -> str:
        """The prompt's name."""
        return self.record.prompt

    @property
    def status(self) -> Literal["completed", "failed"]:
        """`failed` where more questions than allowed got no answer; `summary.message` says why."""
        return self.summary.status

    @property
    def metrics(self) -> Mapping[str, Interval]:
        """Each metric's value with its uncertainty, 0-100."""
        return self.summary.metrics

    @property
    def headline(self) -> Interval:
        """The metric that stands for the dataset."""
        return self.summary.metrics[self.summary.headline]

    @cached_property
    def scores(self) -> pd.DataFrame:
        """A row a question: what was asked, what came back, a column a metric (0-1, NaN: none)."""
        from pixtrack.tasks.comparison.load import load_run as load

        return load(RunDirectory(self.directory)).scores

    def __repr__(self) -> str:
        """The run in one line."""
        value = self.headline.value
        shown = "none" if value is None else f"{value:.2f}"
        return f"<Run {self.name} on {self.dataset}: {self.summary.headline} {shown}>"


@dataclass(frozen=True)
class Scores:
    """What a dataset's metrics say of predictions that somebody made."""

    dataset: str
    headline: str
    """The name of the metric that stands for the dataset."""
    metrics: Mapping[str, Interval]
    """Each metric's value with its uncertainty, 0-100."""
    table: pd.DataFrame
    """A row a question, with a column a metric (0-1, NaN: none)."""
    summary: Mapping[str, Any]
    """summary.json: besides the scores, where they come from and how they were made."""


def evaluate(
    dataset: str = "sample",
    model: str | None = None,
    *,
    prompt: str | None = None,
    limit: int | None = None,
    model_dir: str | Path | None = None,
    engine: Mapping[str, Any] | None = None,
    options: Sequence[str] = (),
) -> Run:
    """Evaluates a model on a dataset, as `pixtrack eval` does: ask, score, track.

    It runs in a process of its own, so that this one gets no engine and no Prefect settings; its
    progress goes to sys.stderr. What is answered already is not asked again.

    Args:
        dataset: a name in configs/datasets.
        model: a name in configs/models; None: the largest Pixtral that this machine holds.
        prompt: a name in configs/prompts; None: the dataset's own.
        limit: only the first so many questions.
        model_dir: a directory that already holds the model's files.
        engine: options of vLLM's for this run: {"max_model_len": 8192}.
        options: further options of `pixtrack eval`, as on the command line.

    Returns the run; its status is `failed` where too many questions got no answer.
    Raises UserError for bad input, a group of datasets (see `evaluate_all`), an engine that does
    not start, and whatever else the command would end with.
    """
    members = dataset_names(dataset)
    if members != (dataset,):
        raise UserError(
            f"{dataset} is a group of datasets ({', '.join(members)}): use evaluate_all, which "
            "returns a run for each"
        )
    (run,) = evaluate_all(
        dataset,
        model,
        prompt=prompt,
        limit=limit,
        model_dir=model_dir,
        engine=engine,
        options=options,
    )
    return run


def evaluate_all(
    dataset: str,
    model: str | None = None,
    *,
    prompt: str | None = None,
    limit: int | None = None,
    model_dir: str | Path | None = None,
    engine: Mapping[str, Any] | None = None,
    options: Sequence[str] = (),
) -> list[Run]:
    """`evaluate` for every dataset of a group, with one engine start; a run for each.

    Raises UserError, besides where `evaluate` does, if a dataset of the group could not be asked;
    the runs of the others are kept and found by `load_run`.
    """
    given: dict[str, Any] = {
        "--dataset": dataset,
        "--model": model,
        "--prompt": prompt,
        "--limit": limit,
        "--model-dir": model_dir,
    }
    arguments = [f"{name}={value}" for name, value in given.items() if value is not None]
    arguments += [f"--engine={key}={json.dumps(value)}" for key, value in (engine or {}).items()]
    outcome = _command("eval", *arguments, *options, "--json")
    summaries = outcome["runs"] if "group" in outcome else [outcome]
    runs = [_run(RunDirectory(Path(summary["run_dir"]))) for summary in summaries]
    if outcome.get("not_run"):
        lost = "; ".join(f"{one['dataset']}: {one['error']}" for one in outcome["not_run"])
        raise UserError(f"not every dataset of {dataset} could be asked: {lost}")
    return runs


def load_run(reference: str | Path = "latest") -> Run:
    """A scored run of the data home.

    Args:
        reference: its name or id (the beginning will do), `model@dataset[@prompt]`, `latest`, or
            the path of its directory.

    Raises UserError where nothing fits, or the run has no scores yet.
    """
    return _run(resolve_run(str(reference), home(), scored=True).directory)


def score(
    dataset: str,
    predictions: str | Path | Mapping[int, str],
    *,
    annotations: str | Path | None = None,
    prompt: str | None = None,
    metrics: Sequence[str] = (),
    out: str | Path | None = None,
) -> Scores:
    """Scores anybody's predictions by a dataset's metrics; no model, engine or image is needed.

    Args:
        dataset: a name in configs/datasets.
        predictions: the 0-based row of a question to its prediction; or a file of `index` and
            `prediction` (JSON lines or CSV); or a run's directory.
        annotations: the dataset's annotation file; None: the prepared dataset.
        prompt: post-process the predictions as this prompt does; None: not at all.
        metrics: metrics besides the dataset's own.
        out: a folder for scores.csv and summary.json; None: nothing is written.

    Raises UserError for a question without a prediction, a prediction without a question, and
    files that cannot be read.
    """
    from pixtrack.tasks.scoring.prediction_files import score_predictions
    from pixtrack.tasks.scoring.score_files import write_score_files

    golds = Path(annotations) if annotations else None
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "predictions"
        if not isinstance(predictions, Mapping):
            scored, summary = score_predictions(dataset, Path(predictions), golds, prompt, metrics)
        else:
            rows = [{"index": index, "prediction": text} for index, text in predictions.items()]
            file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
            try:
                scored, summary = score_predictions(dataset, file, golds, prompt, metrics)
            except UserError as error:
                raise UserError(str(error).replace(str(file), "predictions")) from None
            summary["predictions"] = "given as values"
    if out is not None:
        write_score_files(Path(out), scored, summary)
    return Scores(summary["dataset"], summary["headline"], scored.metrics, scored.table, summary)


def compare(
    *runs: Run | str | Path,
    baseline: Run | str | None = None,
    metric: str | None = None,
    failed: Literal["drop", "zero"] = "drop",
    allow: Sequence[str] = (),
    out: str | Path | None = None,
) -> Comparison:
    """Compares runs on the same questions: paired, clustered by image, corrected.

    Args:
        runs: runs, or what `load_run` takes; two or more on one dataset.
        baseline: the run, or the model's name, to compare with; None: the first.
        metric: a metric that all runs have; None: the headline.
        failed: questions without an answer are dropped from each pair, or scored zero.
        allow: mismatches to let through: prompt, questions, metric.
        out: a folder for the page, tables and JSON; None: nothing is written.

    Returns the comparison: `verdict`, and per dataset scores, differences, intervals and p-values.
    Raises UserError for runs that cannot be compared, with the reason.
    """
    from pixtrack.tasks.comparison import compare as compare_directories
    from pixtrack.tasks.comparison.report import write
    from pixtrack.tasks.comparison.resolve import resolve_baseline

    stored = [resolve_run(_reference(run), home(), scored=True) for run in runs]
    base = resolve_baseline(_reference(baseline), home(), stored) if baseline else None
    comparison = compare_directories(
        [one.directory for one in stored], base, metric=metric, failed=failed, allow=allow
    )
    if out is not None:
        write(comparison, Path(out), home().images)
    return comparison


def _reference(run: Run | str | Path) -> str:
    return str(run.directory) if isinstance(run, Run) else str(run)


def _run(directory: RunDirectory) -> Run:
    record, summary = directory.read_record(), directory.read_summary()
    if record is None or summary is None:
        raise UserError(f"{directory.path}: has no scores")
    return Run(directory.path, record, summary)


def _command(*arguments: str) -> dict[str, Any]:
    """Runs a command of pixtrack's; what it printed as JSON. Its stderr is passed on line by line.

    It ends when this process does, and on KeyboardInterrupt. Raises UserError with the command's
    last line where it printed nothing.
    """
    command = [sys.executable, "-m", "pixtrack", *arguments]
    last = ""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as printed,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            preexec_fn=die_with_parent,
        ) as process,
    ):
        assert process.stderr is not None
        try:
            for line in process.stderr:
                print(line, end="", file=sys.stderr, flush=True)
                last = line.strip() or last
            status = process.wait()
        except BaseException:
            _end(process)
            raise
        printed.seek(0)
        text = printed.read()
    if not text.strip():
        raise UserError(last.removeprefix("pixtrack: ") or f"{command} ended with status {status}")
    outcome = json.loads(text)
    assert isinstance(outcome, dict)
    return outcome


def _end(process: subprocess.Popen[str]) -> None:
    """Ends a command, which closes its engine and its records first if it can."""
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
