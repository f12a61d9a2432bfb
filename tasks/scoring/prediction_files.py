"""Scores predictions that somebody made: from files to files, without model, engine or images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, load_prompt
from pixtrack.configs.paths import home
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets import load_prepared
from pixtrack.tasks.datasets.annotation_rows import annotation_samples
from pixtrack.tasks.datasets.annotations import file_sha256
from pixtrack.tasks.datasets.sources import source_kind
from pixtrack.tasks.records import Answer, Sample
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.runs.journal import read_answers, read_fingerprint
from pixtrack.tasks.runs.selection import kept
from pixtrack.tasks.scoring import ScoredRun
from pixtrack.tasks.scoring.finishing import check_metrics
from pixtrack.tasks.scoring.metrics import functions_of
from pixtrack.tasks.scoring.own import digests
from pixtrack.tasks.scoring.predictions import check_indexes, read_predictions
from pixtrack.tasks.scoring.score_files import summary_of, write_score_files
from pixtrack.tasks.scoring.scored import score_outputs


def score_file(
    dataset: str,
    predictions: Path,
    out: Path,
    annotations: Path | None = None,
    prompt: str | None = None,
    metrics: Sequence[str] = (),
) -> dict[str, Any]:
    """`score_predictions` that writes OUT/scores.csv and OUT/summary.json; returns the summary."""
    scored, summary = score_predictions(dataset, predictions, annotations, prompt, metrics)
    try:
        write_score_files(out, scored, summary)
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: cannot be written ({error.strerror or error}): --out names a folder"
        ) from None
    return summary


def score_predictions(
    dataset: str,
    predictions: Path,
    annotations: Path | None = None,
    prompt: str | None = None,
    metrics: Sequence[str] = (),
) -> tuple[ScoredRun, dict[str, Any]]:
    """Scores the predictions; returns the scores, and their summary as `summary_of` makes it.

    `predictions` is a file (see `tasks.scoring.predictions`), a run directory, or its
    answers.jsonl.
    The golds come from the annotation file, or from the prepared dataset where none is named;
    `metrics` are added to the dataset's own. Raises UserError for whatever is wrong with the files.
    """
    config = load_dataset(dataset)
    check_metrics(metrics)
    config = config.with_metrics(metrics, Path.cwd())
    functions_of(config)  # an unknown metric is refused before anything is read
    samples, source = _samples(config, annotations)
    steps: Sequence[str] = ()
    if prompt:
        steps = load_prompt(prompt).for_dataset(config.name).postprocess
    journal = _journal(predictions)
    if journal is None:
        texts = read_predictions(predictions, samples)
        answers = {index: Answer(index, text, "stop") for index, text in texts.items()}
        scored = score_outputs(samples, answers, config, steps)
    else:
        if not prompt:
            own = RunDirectory(journal.parent).read_prompt(config.name)
            steps = own.postprocess if own else ()
        scored = _score_run(config, samples, journal, steps, source.get("digest"))
    provenance = {
        "predictions": str(predictions),
        "postprocess": list(steps),
        "own_code": digests((*config.evaluators.values(), *steps)),
        "annotations": source,
    }
    return scored, summary_of(scored, config, provenance)


def _samples(
    config: DatasetConfig, annotations: Path | None
) -> tuple[Sequence[Sample], dict[str, Any]]:
    """The dataset's samples, and where they come from."""
    if annotations is not None:
        samples = annotation_samples(annotations, config)
        sha256, pinned = file_sha256(annotations), source_kind(config).pinned_annotations(config)
        return samples, {
            "file": str(annotations),
            "sha256": sha256,
            "as_published": sha256 == pinned if pinned else None,
        }
    prepared = load_prepared(config, home())
    if prepared is None:
        raise UserError(
            f"dataset {config.name} is not prepared here: name its annotation file with "
            f"--annotations FILE, or run `pixtrack datasets prepare {config.name}`"
        )
    return prepared.samples, {"prepared": str(prepared.directory), "digest": prepared.digest}


def _journal(predictions: Path) -> Path | None:
    """The answers.jsonl that the path means, if it means a run's own answers."""
    if predictions.is_dir():
        journal = predictions / "answers.jsonl"
        if not journal.is_file():
            raise UserError(
                f"{predictions}: a folder without answers.jsonl: name a run directory or a file"
            )
        return journal
    if predictions.name == "answers.jsonl" and predictions.is_file():
        try:
            return predictions if read_fingerprint(predictions) is not None else None
        except UserError:
            return None  # predictions that merely have the journal's name
    return None


def _score_run(
    config: DatasetConfig,
    samples: Sequence[Sample],
    journal: Path,
    steps: Sequence[str],
    digest: str | None,
) -> ScoredRun:
    """A run's answers, to its own limit; `digest` is the prepared dataset's, None for a file."""
    run = RunDirectory(journal.parent)
    record = run.read_record()
    if record is not None and record.dataset != config.name:
        raise UserError(
            f"{run.path}: a run on {record.dataset}, not on {config.name}: "
            f"use --dataset {record.dataset}"
        )
    if record is not None and digest is not None and digest != record.dataset_digest:
        raise UserError(
            f"{run.path}: asked on another preparation of {config.name} (digest "
            f"{record.dataset_digest[:12]}, prepared is {digest[:12]}): its rows may differ; "
            f"name the annotation file with --annotations"
        )
    chosen = kept(samples, record.limit, record.selection) if record else samples
    answers = read_answers(journal)
    not_asked = _not_asked(run, chosen)
    asked = [
        sample
        for sample in chosen
        if sample.index in answers or not (sample.error or sample.index in not_asked)
    ]
    check_indexes(journal, answers, asked)
    return score_outputs(chosen, answers, config, steps)


def _not_asked(run: RunDirectory, samples: Sequence[Sample]) -> set[int]:
    """The samples that the run wrote no request for: their images were refused."""
    if not run.requests_file.is_file():
        return set()
    with run.requests_file.open(encoding="utf-8") as file:
        requested = {json.loads(line)["index"] for line in file if line.strip()}
    return {sample.index for sample in samples} - requested
