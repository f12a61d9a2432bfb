"""Scores stored answers again, without an engine: `pixtrack rescore` and imported predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import DatasetConfig
from pixtrack.tasks.datasets import load_prepared
from pixtrack.tasks.datasets.annotation_rows import annotation_samples
from pixtrack.tasks.records import Sample
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord, RunSummary
from pixtrack.tasks.runs.journal import read_answers
from pixtrack.tasks.runs.selection import kept
from pixtrack.tasks.scoring.finishing import own_code, with_metrics, write_scores
from pixtrack.tasks.scoring.scored import score_outputs
from pixtrack.tasks.scoring.summaries import scores_changed, summarise, with_new_scores


def rescore(
    run: RunDirectory, home: Home, metrics: Sequence[str] = (), annotations: Path | None = None
) -> tuple[RunSummary, RunSummary]:
    """Scores a run's stored answers again.

    Predictions are made anew from the raw output, by the post-processing of the run's own prompt.
    Where a number has changed, or a metric was added or removed, the former values join the
    summary's history; otherwise nothing is written.

    Args:
        run: the run; the caller has it locked
        home: where its dataset is prepared
        metrics: metrics besides those of the dataset's configuration and of the run
        annotations: an annotation file with the golds, in place of the prepared dataset

    Returns (summary before, summary now): the same object where nothing changed. A damaged summary
    is made anew, and is both. Raises UserError for a run that was never scored, and for one whose
    dataset is not prepared, or in another version.
    """
    record, before = run.read_record(), run.read_summary()
    if record is None or not (run.summary_file.exists() or run.scores_file.exists()):
        raise UserError(f"{run.path}: this run has no scores yet: finish it with `pixtrack eval`")
    dataset = with_metrics(load_dataset(record.dataset), record, metrics)
    samples = samples_of(run, record, dataset, home, annotations)
    answers = read_answers(run.journal_file)
    prompt = run.read_prompt(dataset.name)
    scored = score_outputs(samples, answers, dataset, prompt.postprocess if prompt else ())
    if before is None:
        made = summarise(run, record, dataset, samples, answers, scored)
        write_scores(run, scored)
        run.write_summary(made)
        return made, made
    if not scores_changed(before, dataset, scored):
        return before, before
    now = with_new_scores(before, dataset, scored, "pixtrack rescore")
    write_scores(run, scored)
    run.write_summary(now)
    changed = {
        "metrics": dataset.metrics,
        "headline": dataset.headline,
        "own_code": own_code(run, dataset),
    }
    run.write_record(record.model_copy(update=changed))
    return before, now


def samples_of(
    run: RunDirectory,
    record: RunRecord,
    dataset: DatasetConfig,
    home: Home,
    annotations: Path | None = None,
) -> Sequence[Sample]:
    """The samples that the run was asked.

    From the prepared dataset; for a run imported with an annotation file, from that file. Raises
    UserError where neither is the one that the run was made with.
    """
    noted = str(record.identity.get("annotations", ""))
    file = annotations or (Path(noted) if noted else None)
    if file is not None:
        from pixtrack.tasks.datasets.annotations import file_sha256

        samples: Sequence[Sample] = annotation_samples(file, dataset)
        digest, source = file_sha256(file), str(file)
    else:
        prepared = load_prepared(dataset, home)
        if prepared is None:
            raise UserError(
                f"dataset {dataset.name} is not prepared here: run "
                f"`pixtrack datasets prepare {dataset.name}`, which scoring again needs for its "
                "gold answers"
            )
        samples, digest, source = prepared.samples, prepared.digest, f"dataset {dataset.name}"
    if digest != record.dataset_digest:
        raise UserError(
            f"{run.path}: answered on another version of {source} (digest "
            f"{record.dataset_digest[:12]}, now {digest[:12]}): its rows may differ: name its annotation file with --annotations, or prepare that version"
        )
    return kept(samples, record.limit, record.selection)
