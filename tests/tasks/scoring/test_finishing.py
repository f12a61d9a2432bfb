"""What a finished run's record says of the time that it took, and a run that cannot be opened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, load_model, load_prompt
from pixtrack.configs.paths import Home
from pixtrack.tasks.records import Answer, PreparedDataset, Sample, SampleImage
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.journal import Journal
from pixtrack.tasks.runs.lock import RunLock
from pixtrack.tasks.runs.opening import Cell, OpenRun, open_run
from pixtrack.tasks.scoring.finishing import finish_run

FIRST, SECOND = "2026-01-01T10:00:00.000+00:00", "2026-01-01T10:05:00.000+00:00"


@pytest.fixture
def run(tmp_path: Path) -> OpenRun:
    """An open run of four questions."""
    home = Home(tmp_path)
    dataset, prompt = load_dataset("sample"), load_prompt("plain")
    cell = Cell(load_model("pixtral-nano"), dataset, prompt.for_dataset("sample"))
    samples = tuple(
        Sample(i, str(i), "How much?", ("42",), (SampleImage(f"{i}", f"{i}.png", 100, 100),))
        for i in range(4)
    )
    prepared = PreparedDataset(
        name="sample",
        directory=tmp_path,
        samples=samples,
        images=home.images,
        digest="d" * 64,
        source={},
    )
    opened = open_run(cell, prepared, {"model": "m"}, home)
    opened.lock.release()
    return opened


def test_what_an_engine_answered_before_its_second_try_counts(run: OpenRun) -> None:
    """One of several copies ran out of memory at its start while another answered already."""
    with Journal(run.directory.journal_file, run.fingerprint) as journal:
        for index, started, elapsed in (
            (0, FIRST, 3.0),
            (1, FIRST, 4.0),
            (2, SECOND, 1.0),
            (3, SECOND, 2.0),
        ):
            stamp = {"started": started, "elapsed": elapsed}
            journal.append(Answer(index, "42", "stop"), stamp)
    summary = finish_run(run, AskedRun(2, 2.1, SECOND))
    record = run.directory.read_record()
    assert record is not None
    noted = sorted((one["started"], one["asked"]) for one in record.invocations)
    assert noted == [(FIRST, 2), (SECOND, 2)]
    assert summary.inference_seconds == pytest.approx(6.1)


def test_a_run_that_cannot_be_opened_is_nobodys(run: OpenRun, tmp_path: Path) -> None:
    prepared = PreparedDataset("sample", tmp_path, run.images, "d" * 64, run.samples, {})
    part = run.directory.journal_file.with_name("answers.part0.jsonl")
    with Journal(part, run.fingerprint) as left:
        left.append(Answer(0, "42", "stop"))
    # Taking the part over needs the journal, which somebody writes.
    journal = Journal(run.directory.journal_file, run.fingerprint)
    with journal, pytest.raises(UserError, match="another process"):
        open_run(run.cell, prepared, {"model": "m"}, Home(tmp_path))
    assert not RunLock(run.directory).acquired


def test_the_record_says_how_many_pages_were_not_shown(run: OpenRun) -> None:
    rule = {"choice": "first", "most": 4, "max_model_len": 4096}
    record = run.directory.read_record()
    assert record is not None and record.pages == {}
    run.directory.write_record(record.model_copy(update={"identity": {"pages": rule}}))
    with Journal(run.directory.journal_file, run.fingerprint) as journal:
        for index, left_out in enumerate((0, 36, 0, 2)):
            journal.append(Answer(index, "42", "stop", left_out=left_out))
    finish_run(run)
    record = run.directory.read_record()
    assert record is not None
    assert record.pages == {**rule, "questions": 2, "images": 38}
    scores = pd.read_parquet(run.directory.scores_file)
    assert scores["images_left_out"].tolist() == [0, 36, 0, 2]


def test_a_run_without_golds_completes_and_has_no_score(run: OpenRun) -> None:
    unpublished = replace(run, samples=tuple(replace(one, answers=()) for one in run.samples))
    with Journal(run.directory.journal_file, run.fingerprint) as journal:
        for index in range(3):
            journal.append(Answer(index, "42", "stop"))
        journal.append(Answer(3, "", "refused", error="too long"))
    summary = finish_run(unpublished)
    assert (summary.answered, summary.failed, summary.without_gold) == (3, 1, 3)
    assert {name: one.value for name, one in summary.metrics.items()} == dict.fromkeys(
        summary.metrics
    )
    assert summary.by == {}


def test_what_was_refused_is_counted_beside_what_failed_for_the_moment(run: OpenRun) -> None:
    with Journal(run.directory.journal_file, run.fingerprint) as journal:
        journal.append(Answer(0, "42", "stop"))
        journal.append(Answer(1, "", "refused", error="the model refuses to answer: I cannot."))
        journal.append(Answer(2, "", "refused", error="the model calls a tool"))
        journal.append(Answer(3, "", "error", error="HTTP 503"))
    summary = finish_run(run)
    assert (summary.answered, summary.failed, summary.refused) == (1, 3, 2)
    scores = pd.read_parquet(run.directory.scores_file)
    assert scores["error"][1] == "the model refuses to answer: I cannot."
    assert scores[summary.headline].isna().tolist() == [False, True, True, True]
