"""Writes synthetic run directories, shaped as the contract says, for the comparison's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pixtrack.configs.paths import Home
from pixtrack.tasks.runs.directory import (
    Count,
    Interval,
    RunDirectory,
    RunRecord,
    RunSummary,
    fingerprint,
    run_name,
)

QUESTION_TYPES = ("form", "table/list", "layout", "free_text", "figure/diagram", "handwritten")
WORDS = [
    "total",
    "invoice",
    "revenue",
    "year",
    "Smith",
    "committee",
    "page",
    "figure",
    "percent",
    "research",
    "product",
    "January",
    "report",
    "institute",
    "tobacco",
    "sales",
    "annual",
    "review",
    "department",
    "chart",
    "budget",
]


@dataclass
class DatasetFactory:
    """A synthetic dataset: questions on images, each with a difficulty of its own."""

    home: Home
    name: str = "docvqa_val"
    questions: int = 60
    images: int = 20
    seed: int = 0
    pixels: tuple[int, int] = (600, 800)
    hostile: bool = False
    """Whether questions and outputs carry markup that must not run."""
    pages: int = 0
    """Where not 0, a question is on so many images, the pages of a document, and the scores have the
    columns of samples of several images; 0: as they were written before there were such samples."""
    published: bool = True
    """Whether the golds are."""
    options: tuple[str, ...] = ()
    written: dict[int, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.image_of = np.sort(rng.integers(0, self.images, self.questions))
        rng.shuffle(self.image_of)
        self.image_difficulty = rng.normal(0, 1, self.images)
        self.difficulty = self.image_difficulty[self.image_of] + rng.normal(0, 1, self.questions)
        self.types = rng.choice(QUESTION_TYPES, self.questions)
        self.texts = [
            f"What is the {' '.join(rng.choice(WORDS, 4))} of item {i}?"
            for i in range(self.questions)
        ]
        self.golds = [
            [str(rng.integers(1, 9999))]
            if i % 3 == 0
            else [" ".join(rng.choice(WORDS, 1 + i % 5)), "n/a"]
            for i in range(self.questions)
        ]
        self.sizes = [
            (int(w * scale), int(h * scale))
            for scale in rng.choice((0.5, 1.0, 2.0), self.images)
            for w, h in [self.pixels]
        ]

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.name} {self.questions} {self.seed}".encode()).hexdigest()

    def image(self, number: int) -> tuple[str, str]:
        """Writes the image file once; its sha256 and its path under the image store."""
        if number not in self.written:
            picture = Image.new("RGB", self.sizes[number], "white")
            draw = ImageDraw.Draw(picture)
            rng = np.random.default_rng([self.seed, number])
            width, height = picture.size
            for line in range(24, height - 24, 26):
                text = " ".join(rng.choice(WORDS, max(2, width // 70)))
                draw.text((24, line), text, fill="black")
            partial = self.home.images / f"partial-{self.seed}-{number}.png"
            partial.parent.mkdir(parents=True, exist_ok=True)
            picture.save(partial, compress_level=1)
            digest = hashlib.sha256(partial.read_bytes()).hexdigest()
            target = self.home.images / digest[:2] / f"{digest}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(target)
            self.written[number] = (digest, f"{digest[:2]}/{digest}.png")
        return self.written[number]

    def _several(self, question: int) -> dict[str, Any]:
        """What scores.parquet has since a sample may show several images and have options."""
        if not self.pages:
            return {}
        first = int(self.image_of[question])
        shown = [self.image((first + page) % self.images)[1] for page in range(self.pages)]
        return {
            "images": shown,
            "cluster": f"document {first}",
            "options": list(self.options),
            "images_left_out": 2 if question % 5 == 0 else 0,
        }

    def run(
        self,
        model: str = "alpha",
        *,
        skill: float = 0.0,
        prompt: str = "short",
        template: str | None = None,
        limit: int | None = None,
        failed: Sequence[int] = (),
        truncated: Sequence[int] = (),
        seed: int = 1,
        scores: Sequence[float] | NDArray[np.float64] | None = None,
        metric: str = "anls",
        engine: Mapping[str, Any] | None = None,
        created: str = "2026-01-01T00:00:00+00:00",
        metric_versions: Mapping[str, int] | None = None,
        weights: str = "trained",
        digest: str | None = None,
        identity: Mapping[str, Any] | None = None,
        states: Mapping[str, Mapping[str, Count]] | None = None,
        figures: Mapping[str, Mapping[str, float]] | None = None,
    ) -> RunDirectory:
        """A scored run: a question is right where skill plus luck beats its difficulty."""
        rng = np.random.default_rng(seed)
        n = min(limit or self.questions, self.questions)
        luck = rng.normal(0, 0.7, self.questions)
        margin = skill + luck - self.difficulty
        right = margin > 0
        partial = (margin > -0.3) & ~right
        values = np.where(right, 1.0, np.where(partial, 0.6, 0.0))[:n]
        if scores is not None:
            values = np.asarray(scores, dtype=float)[:n]
        rows = []
        for i in range(n):
            sha, path = self.image(int(self.image_of[i]))
            width, height = self.sizes[int(self.image_of[i])]
            output = self.golds[i][0] if values[i] == 1 else " ".join(rng.choice(WORDS, 2))
            if self.hostile:
                output += "<script>window.hacked=1</script><img src=x onerror=window.hacked=2>"
            rows.append(
                {
                    "index": i,
                    "question_id": f"q{i}",
                    "image": sha,
                    "image_path": path,
                    "width": width,
                    "height": height,
                    "question": self.texts[i]
                    + ("</script><b onclick=hack()>\u2028" if self.hostile else ""),
                    "answers": self.golds[i] if self.published else [],
                    "question_type": str(self.types[i]),
                    "answer_type": "number" if i % 3 == 0 else "text",
                    "output": "" if i in failed else output,
                    "prediction": "" if i in failed else output.strip(),
                    "finish_reason": "refused"
                    if i in failed
                    else ("length" if i in truncated else "stop"),
                    "error": "too long: 9,000 tokens of 8,192" if i in failed else "",
                    "prompt_tokens": 900,
                    "cached_tokens": 300,
                    "output_tokens": 6,
                    "seconds": 0.4,
                    metric: np.nan if i in failed or not self.published else values[i],
                    "exact_match": np.nan
                    if i in failed or not self.published
                    else float(values[i] == 1),
                    **self._several(i),
                }
            )
        table = pd.DataFrame(rows)
        full_identity: dict[str, Any] = {
            "model": {"name": model, "revision": "abc"},
            "dataset": digest or self.digest,
            "prompt": {"name": prompt, "template": template or f"{{question}} ({prompt})"},
            "sampling": {"max_tokens": 64, "temperature": 0.0},
            "engine": dict(engine or {"name": "vllm", "options": {}}),
            **(identity or {}),
        }
        print_ = fingerprint(
            {**full_identity, "seed": seed, "skill": skill, "of": self.name, "limit": limit}
        )
        name = run_name(model, prompt, print_, limit)
        directory = RunDirectory.of(self.home, self.name, name)
        seconds = 30.0 + len(model)
        record = RunRecord(
            name=name,
            fingerprint=print_,
            identity=full_identity,
            dataset=self.name,
            dataset_digest=digest or self.digest,
            model=model,
            model_title=model.title(),
            prompt=prompt,
            limit=limit,
            headline=metric,
            metrics=(metric, "exact_match"),
            weights=weights,
            created=created,
            status="completed",
            engine=dict(engine or {"name": "vllm", "version": "0.32.0", "platform": "cuda"}),
            host={"gpus": ["NVIDIA H100"]},
            mlflow_run_id=hashlib.md5(name.encode()).hexdigest(),
            invocations=[
                {
                    "started": created,
                    "seconds": seconds,
                    "asked": n,
                    "prompt_tokens": 900 * n,
                    "cached_tokens": 300 * n,
                    "output_tokens": 6 * n,
                }
            ],
        )
        directory.write_record(record)
        table.to_parquet(directory.scores_file)
        mean = float(table[metric].mean() * 100)
        summary = RunSummary(
            run_dir=str(directory.path),
            model=model,
            dataset=self.name,
            prompt=prompt,
            n=n,
            answered=n - len(failed),
            failed=len(failed),
            truncated=len(truncated),
            headline=metric,
            metrics={
                metric: Interval(
                    value=mean if self.published else None,
                    stderr=None,
                    ci95=None,
                    n=n - len(failed) if self.published else 0,
                )
            },
            without_gold=0 if self.published else n - len(failed),
            samples_per_s=n / seconds,
            prompt_tokens=900 * n,
            output_tokens=6 * n,
            inference_seconds=seconds,
            weights=weights,
            states=states or {},
            figures=figures or {},
            **({"metric_versions": dict(metric_versions)} if metric_versions else {}),
        )
        directory.write_summary(summary)
        return directory


def home_at(path: Path) -> Home:
    """A data home at `path`."""
    return Home(path)
