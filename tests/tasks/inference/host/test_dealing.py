"""Questions dealt out to replicas: an image's questions stay together, the parts are alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pixtrack.tasks.inference.host.dealing import deal, split_job
from pixtrack.tasks.records import Request
from pixtrack.tasks.runs.requests import read_requests
from tests.doubles.asking import write_job

Ask = Callable[[int, int], list[Request]]
STARTED = "2026-01-01T00:00:00.000+00:00"


def test_an_images_questions_stay_together_and_the_parts_are_alike(ask_about: Ask) -> None:
    requests = ask_about(12, 3)
    parts = deal(requests, 4)
    assert sorted(r.index for part in parts for r in part) == [r.index for r in requests]
    images = [{r.images[0].sha256 for r in part} for part in parts]
    assert sum(len(some) for some in images) == len(set.union(*images)) == 12
    assert {len(part) for part in parts} == {9}


def test_more_replicas_than_images_leave_some_without_work(ask_about: Ask) -> None:
    assert sorted(len(part) for part in deal(ask_about(2, 3), 4)) == [0, 0, 3, 3]


def test_a_job_is_split_into_files_beside_the_runs(ask_about: Ask, tmp_path: Path) -> None:
    requests = ask_about(4, 2)
    job = write_job(tmp_path, requests)
    parts = split_job(job, requests[2:], 2, STARTED)
    assert [part.job_id for part in parts] == [job.job_id] * 2
    assert {part.started for part in parts} == {STARTED}
    asked = [r for part in parts for r in read_requests(Path(part.requests_path))]
    assert sorted(r.index for r in asked) == [r.index for r in requests[2:]]
    assert len({part.journal_path for part in parts} | {job.journal_path}) == 3
