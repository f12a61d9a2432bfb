"""Writes a run's answers as a competition's submission file: `pixtrack export`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.configs.loading import load_dataset
from pixtrack.tasks.exchange.exporters import EXPORTERS
from pixtrack.tasks.files import write_atomically
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    answers: int
    empty: int
    """Questions without an answer, written as an empty one."""


def export_run(
    run: RunDirectory, format_name: str, out: Path | None = None, allow_missing: bool = False
) -> Exported:
    """Writes the run's predictions in a format of EXPORTERS, in the questions' order.

    Args:
        run: a run with scores.parquet; its predictions are those of the last scoring
        format_name: a key of EXPORTERS
        out: the file; None: submission-FORMAT.json in the run's directory
        allow_missing: whether questions without an answer are written with an empty one

    Raises:
        UserError: the file would not be complete: the run covers only the first questions, or fewer
            than the dataset has, or a question has no answer (unless that is allowed), or question
            ids are missing, repeated, or no whole numbers
    """
    if format_name not in EXPORTERS:
        raise unknown_name("format", format_name, EXPORTERS)
    record = run.read_record()
    if record is None or not run.scores_file.is_file():
        raise UserError(f"{run.path}: no answers to export: finish the run with `pixtrack eval`")
    scores = pd.read_parquet(run.scores_file).sort_values("index", kind="stable")
    _check_questions(record, len(scores))
    ids = _ids(record, scores["question_id"].astype(str).tolist())
    failed = (scores["error"].fillna("") != "").tolist()
    if any(failed) and not allow_missing:
        first = scores[failed].iloc[0]
        raise UserError(
            f"{record.name}: {sum(failed):,} of {len(scores):,} questions have no answer (question "
            f"{first['question_id']}: {first['error']}): run the same `pixtrack eval` again, or write "
            "them as empty answers with --allow-missing"
        )
    entry = EXPORTERS[format_name]
    answers = ["" if bad else text for text, bad in zip(scores["prediction"], failed, strict=True)]
    entries = [entry(number, text) for number, text in zip(ids, answers, strict=True)]
    path = out or run.path / f"submission-{format_name}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(entries, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return Exported(path, len(entries), sum(failed))


def _check_questions(record: RunRecord, count: int) -> None:
    """Raises UserError for a run that does not cover the whole dataset."""
    if record.limit:
        raise UserError(
            f"{record.name}: asked only {record.limit:,} questions, and a submission needs "
            "all of them: run `pixtrack eval` without --limit, --sample or --questions; these answers are taken over"
        )
    try:
        expected = load_dataset(record.dataset).questions
    except UserError:  # the dataset was imported, or its configuration no longer exists
        expected = 0
    if expected and count != expected:
        raise UserError(
            f"{record.name}: {count:,} questions, but {record.dataset} has {expected:,} "
            f"(questions in configs/datasets/{record.dataset}.yaml): prepare the dataset anew"
        )


def _ids(record: RunRecord, ids: list[str]) -> list[int]:
    """The question ids as numbers. Raises UserError for missing, repeated and other ids."""
    wrong = next((one for one in ids if not (one.isascii() and one.isdecimal())), None)
    if wrong is not None:
        raise UserError(
            f"{record.name}: question id {wrong!r} is not a whole number, as a submission needs: map "
            "the source's own id with columns: {question_id: …} in the dataset's file"
        )
    numbers = [int(one) for one in ids]
    twice = next((one for one, times in Counter(numbers).items() if times > 1), None)
    if twice is not None:
        raise UserError(f"{record.name}: question id {twice} is in the dataset more than once")
    return numbers
