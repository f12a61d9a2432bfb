"""Brings in predictions that were made elsewhere, as a run like any other: `pixtrack import`."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, load_model, load_prompt, names
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig, ModelConfig
from pixtrack.tasks.datasets import load_prepared
from pixtrack.tasks.datasets.annotation_rows import annotation_samples
from pixtrack.tasks.datasets.annotations import file_sha256
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.records import Answer, Sample
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord, fingerprint, run_name
from pixtrack.tasks.runs.journal import Journal
from pixtrack.tasks.runs.lock import RunLock
from pixtrack.tasks.scoring.finishing import wanted_metrics, write_scores
from pixtrack.tasks.scoring.predictions import read_predictions
from pixtrack.tasks.scoring.scored import score_outputs
from pixtrack.tasks.scoring.summaries import summarise

UNKNOWN_PROMPT = "imported"
"""The prompt's name where the user does not say which one the predictions were made with."""


def import_predictions(
    file: Path,
    model: str,
    dataset_name: str,
    home: Home,
    annotations: Path | None = None,
    prompt_name: str | None = None,
) -> RunDirectory:
    """Makes a completed, scored run of a file of predictions; the same file makes the same run.

    `file` is a CSV of the setup guide's scripts (question_id, question, predict, gt, image_id; one
    row a question, in the order of the annotation file), or any layout that `read_predictions`
    takes. Golds and images come from the prepared dataset, or from the annotation file where one
    is named (its golds; images are then known by name only). `prompt_name` says which prompt the
    predictions were made with; its post-processing is applied, as it would be to our own output.
    """
    if not file.exists():
        raise UserError(f"{file}: no such predictions file")
    dataset = load_dataset(dataset_name)
    prompt = load_prompt(prompt_name).for_dataset(dataset.name) if prompt_name else None
    samples, digest, source = _samples(dataset, home, annotations)
    texts = read_predictions(file, samples)
    answers = {index: Answer(index, text, "stop") for index, text in texts.items()}
    known = load_model(model) if model in names(ModelConfig) else None
    name = known.name if known else _file_name(model)
    identity: dict[str, Any] = {
        "imported_sha256": file_sha256(file),
        "model": name,
        "prompt": prompt_name or "",
        "dataset": digest,
        **({"annotations": source["file"]} if "file" in source else {}),
    }
    print_ = fingerprint({key: value for key, value in identity.items() if key != "annotations"})
    label = prompt.name if prompt else UNKNOWN_PROMPT
    run = RunDirectory.of(home, dataset.name, run_name(name, label, print_, None))
    config = {
        **({"model": known.model_dump(mode="json")} if known else {}),
        "dataset": dataset.model_dump(mode="json"),
        **({"prompt": prompt.model_dump(mode="json")} if prompt else {}),
        "dataset_source": source,
    }
    with RunLock(run):
        write_atomically(run.config_file, json.dumps(config, indent=2, ensure_ascii=False))
        with Journal(run.journal_file, print_) as journal:
            have = journal.answers()
            for index, answer in answers.items():
                if index not in have:
                    journal.append(answer)
        record = run.read_record() or RunRecord(
            name=run.path.name,
            fingerprint=print_,
            identity=identity,
            dataset=dataset.name,
            dataset_digest=digest,
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
        dataset = wanted_metrics(dataset, record, ())  # what `rescore --metric` added stays
        scored = score_outputs(samples, answers, dataset, prompt.postprocess if prompt else ())
        previous = run.read_summary()
        summary = summarise(run, record, dataset, samples, answers, scored)
        if previous:
            summary = summary.model_copy(
                update={"history": previous.history, "mlflow_run_id": previous.mlflow_run_id}
            )
        write_scores(run, scored)
        run.write_summary(summary)
        record.status, record.message = summary.status, summary.message
        run.write_record(record)
    return run


def _samples(
    dataset: DatasetConfig, home: Home, annotations: Path | None
) -> tuple[Sequence[Sample], str, dict[str, Any]]:
    """The dataset's samples, their digest, and where they come from."""
    if annotations is not None:
        file = annotations.resolve()
        samples = annotation_samples(file, dataset)
        return samples, file_sha256(file), {"kind": "annotations", "file": str(file)}
    prepared = load_prepared(dataset, home)
    if prepared is None:
        raise UserError(
            f"dataset {dataset.name} is not prepared here: name its annotation file with "
            f"--annotations FILE, or run `pixtrack datasets prepare {dataset.name}`"
        )
    return prepared.samples, prepared.digest, prepared.source


def _file_name(model: str) -> str:
    """A model's name as part of a folder's: an organisation's slash would make a folder."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in model.strip()).strip("-.")
    if not kept:
        raise UserError(f"--model {model!r}: a name with letters or digits is needed")
    if kept != model.strip():
        kept = f"{kept}-{hashlib.sha256(model.encode()).hexdigest()[:4]}"
    return kept
