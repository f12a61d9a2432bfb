"""Helpers of the tests that ask questions through the inference child."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.records import Answer, ImageRef, Request, to_json
from pixtrack.tasks.runs.journal import read_answers
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job

FINGERPRINT = "test"


def draw_images(folder: Path, number: int) -> list[ImageRef]:
    """Small documents of different sizes, each with another number and colour on it."""
    images = []
    for n in range(number):
        size = (200 + 30 * (n % 5), 120 + 25 * (n % 7))
        image = Image.new("RGB", size, "white")
        draw = ImageDraw.Draw(image)
        draw.text((10, 10 + 3 * n), f"Invoice {n}: total {37 * n}.50", fill="black")
        draw.rectangle((20, 50, 60 + 9 * n, 100), fill=(20 * n % 256, 50, 255 - 15 * n % 256))
        path = folder / f"{n}.png"
        image.save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        images.append(ImageRef(sha256=digest, path=str(path), width=size[0], height=size[1]))
    return images


def questions(images: Sequence[ImageRef], each: int) -> list[Request]:
    """`each` questions on every image; indices count from 0."""
    asked = ("What is the total?", "Which colour is the box?", "How many items?", "Is it paid?")
    return [
        Request(
            index=n * each + k,
            images=(image,),
            turns=(f"{asked[k % len(asked)]} ({k})\nAnswer briefly.",),
        )
        for n, image in enumerate(images)
        for k in range(each)
    ]


def write_job(
    folder: Path,
    requests: Sequence[Request],
    sampling: Sampling | None = None,
    job_id: str = "job",
) -> Job:
    """A run directory's requests.jsonl and the job that asks them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(to_json(request)) + "\n" for request in requests]
    (folder / "requests.jsonl").write_text("".join(lines), encoding="utf-8")
    return Job(
        job_id=job_id,
        requests_path=str(folder / "requests.jsonl"),
        journal_path=str(folder / "answers.jsonl"),
        fingerprint=FINGERPRINT,
        sampling=sampling or Sampling(max_tokens=12),
    )


def until(events: Iterator[Event], *kinds: str) -> list[Event]:
    """The events up to and with the first of these kinds; fails with the reason on any failure."""
    seen = []
    for event in events:
        seen.append(event)
        if event.event in kinds:
            return seen
        assert event.event not in ("engine_failed", "job_failed"), event
    raise AssertionError(f"none of {kinds} came: {seen}")


def run_jobs(process: EngineProcess, *jobs: Job) -> list[Event]:
    """Every event of a child that is given these jobs and no more."""
    for job in jobs:
        process.submit(job)
    process.no_more_jobs()
    return list(process.events())


class RunningEngine:
    """One engine for several tests: each `ask` is a job of its own."""

    def __init__(self, spec: EngineSpec, folder: Path) -> None:
        self.spec = spec
        self.folder = folder
        self.process = EngineProcess(spec, folder / "engine.log")
        self.ready = Event(event="starting")
        self._jobs = 0

    def __enter__(self) -> RunningEngine:
        self.process.start()
        try:
            self._events = self.process.events()
            self.ready = until(self._events, "ready")[-1]
        except BaseException:
            self.process.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.process.close()

    def ask(
        self, requests: Sequence[Request], sampling: Sampling | None = None
    ) -> dict[int, Answer]:
        """The answers by index; `last` holds the job's last event."""
        self._jobs += 1
        job = write_job(self.folder / str(self._jobs), requests, sampling, f"job {self._jobs}")
        self.process.submit(job)
        self.last = until(self._events, "job_done")[-1]
        return read_answers(Path(job.journal_path))
