"""Brings in predictions that were made elsewhere, as a run like any other: `pixtrack import`."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, load_model, load_prompt, names
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, ModelConfig, PromptConfig
from pixtrack.tasks.datasets import load_prepared
from pixtrack.tasks.datasets.annotation_rows import annotation_samples
from pixtrack.tasks.datasets.annotations import file_sha256
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.records import Answer, Sample
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord, fingerprint, run_name
from pixtrack.tasks.runs.journal import Journal
from pixtrack.tasks.runs.lock import RunLock
from pixtrack.tasks.scoring.finishing import with_metrics, write_outcome
from pixtrack.tasks.scoring.predictions import read_predictions
from pixtrack.tasks.scoring.scored import score_outputs
from pixtrack.tasks.scoring.summaries import summarise

UNKNOWN_PROMPT = "imported"
"""The prompt's name where the user does not say which one the predictions were made with."""


@dataclass(frozen=True)
class _Source:
    """The samples that the predictions are scored against."""

    samples: Sequence[Sample]
    digest: str
    """The digest of the prepared dataset, or of the annotation file."""
    described: dict[str, Any]
    """Where the samples come from, for config.json."""


def import_predictions(
    file: Path,
    model: str,
    dataset_name: str,
    home: Home,
    annotations: Path | None = None,
    prompt_name: str | None = None,
) -> RunDirectory:
    """Makes a completed, scored run from a file of predictions. The same file gives the same run.

    Args:
        file: a CSV of the setup guide's scripts (question_id, question, predict, gt, image_id; a
            row a question, in the order of the annotation file), or any layout that
            `read_predictions` takes
        model: the model that made the predictions: a name in configs/models, or any other
        dataset_name: a name in configs/datasets, or an alias
        home: where the run goes
        annotations: an annotation file with the golds; None: those of the prepared dataset. With
            a file, images are known by name only
        prompt_name: the prompt that the predictions were made with; its post-processing is applied,
            as to pixtrack's own output. None: unknown, and nothing is applied

    Raises:
        UserError: a file cannot be read or does not fit the dataset, or another process works on
            the run
    """
    if not file.exists():
        raise UserError(f"{file}: no such predictions file: correct the path")
    dataset = load_dataset(dataset_name)
    prompt = load_prompt(prompt_name).for_dataset(dataset.name) if prompt_name else None
    source = _source(dataset, home, annotations)
    texts = read_predictions(file, source.samples)
    answers = {index: Answer(index, text, "stop") for index, text in texts.items()}
    known = load_model(model) if model in names(ModelConfig) else None
    new = _record(file, model, known, dataset, prompt, source)
    run = RunDirectory.of(home, dataset.name, new.name)
    with RunLock(run):
        _write_config(run, known, dataset, prompt, source)
        with Journal(run.journal_file, new.fingerprint) as journal:
            have = journal.answers()
            for index, answer in answers.items():
                if index not in have:
                    journal.append(answer)
        record = run.read_record() or new
        previous = run.read_summary()
        dataset = with_metrics(dataset, record)  # also those that `rescore --metric` added
        steps = prompt.postprocess if prompt else ()
        scored = score_outputs(source.samples, answers, dataset, steps)
        history = previous.history if previous else ()
        summary = summarise(run, record, dataset, source.samples, answers, scored, history=history)
        write_outcome(run, record, dataset, scored, summary)
    return run


def _record(
    file: Path,
    model: str,
    known: ModelConfig | None,
    dataset: DatasetConfig,
    prompt: PromptConfig | None,
    source: _Source,
) -> RunRecord:
    """The record of a run that is imported for the first time."""
    name = known.name if known else _file_name(model)
    identity: dict[str, Any] = {
        "imported_sha256": file_sha256(file),
        "model": name,
        "prompt": prompt.name if prompt else "",
        "dataset": source.digest,
    }
    digest = fingerprint(identity)
    if "file" in source.described:  # the file's path does not identify the run
        identity["annotations"] = source.described["file"]
    label = prompt.name if prompt else UNKNOWN_PROMPT
    return RunRecord(
        name=run_name(name, label, digest, None),
        fingerprint=digest,
        identity=identity,
        dataset=dataset.name,
        dataset_digest=source.digest,
        model=name,
        model_title=known.title if known else model,
        prompt=label,
        limit=None,
        headline=dataset.headline,
        metrics=dataset.metrics,
        weights=known.weights if known else "trained",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        imported_from=str(file.resolve()),
    )


def _write_config(
    run: RunDirectory,
    known: ModelConfig | None,
    dataset: DatasetConfig,
    prompt: PromptConfig | None,
    source: _Source,
) -> None:
    config = {
        **({"model": known.model_dump(mode="json")} if known else {}),
        "dataset": dataset.model_dump(mode="json"),
        **({"prompt": prompt.model_dump(mode="json")} if prompt else {}),
        "dataset_source": source.described,
    }
    write_atomically(run.config_file, json.dumps(config, indent=2, ensure_ascii=False))


def _source(dataset: DatasetConfig, home: Home, annotations: Path | None) -> _Source:
    """The annotation file's samples, or those of the prepared dataset."""
    if annotations is not None:
        file = annotations.resolve()
        samples = annotation_samples(file, dataset)
        return _Source(samples, file_sha256(file), {"kind": "annotations", "file": str(file)})
    prepared = load_prepared(dataset, home)
    if prepared is None:
        raise UserError(
            f"dataset {dataset.name} is not prepared here: name its annotation file with "
            f"--annotations FILE, or run `pixtrack datasets prepare {dataset.name}`"
        )
    return _Source(prepared.samples, prepared.digest, prepared.source)


def _file_name(model: str) -> str:
    """A model's name as part of a folder's name, without the slash after an organisation."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in model.strip()).strip("-.")
    if not kept:
        raise UserError(f"--model {model!r}: give a name with letters or digits")
    if kept != model.strip():
        kept = f"{kept}-{hashlib.sha256(model.encode()).hexdigest()[:4]}"
    return kept
