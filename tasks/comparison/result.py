"""A comparison as data: what `pixtrack compare --json` prints and the report is made of.

Scores, differences and intervals are points on the 0-100 scale; p-values are two-sided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from pixtrack.tasks.runs.directory import Interval

FailedPolicy = Literal["drop", "zero"]
Outcome = Literal["better", "worse", "not shown", "identical", "not comparable", "not scored"]


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=(), extra="forbid")


class Speed(_Result):
    """How fast and at what cost a run answered; None where it was not measured (imported runs)."""

    samples_per_s: float | None
    device: str
    """What the engine computed on: cuda, cpu, …; "" unknown."""
    devices: int
    device_seconds_per_1000: float | None
    """Devices times seconds per 1,000 questions: GPU-seconds where `device` is a GPU."""
    output_tokens_per_question: float | None
    cached_share: float | None
    """Prompt tokens served from the prefix cache, 0-1."""


class RunRow(_Result):
    """One run on the leaderboard of its dataset."""

    key: str
    """r0, r1, …: the contestant within this comparison; the same on every dataset."""
    label: str
    """The model's title, with prompt or id where two runs would be called the same."""
    model: str
    model_title: str
    prompt: str
    name: str
    run_dir: str
    fingerprint: str
    created: str
    status: str
    weights: str
    limit: int | None
    engine: str
    imported_from: str
    mlflow_run_id: str | None
    score: Interval
    """The compared metric over the common questions."""
    metrics: dict[str, Interval]
    """All metrics of the run over the common questions."""
    failed: int
    """Common questions without an output (refused, engine error, bad row)."""
    truncated: int
    """Outputs cut off at the output limit; they count as they were scored."""
    beside: tuple[str, ...] = ()
    """Notes on the scores, a line each, over all answers of the run: how answers were
    read ("mmmu: 0.4% guessed (7 of 1,730)") and the metrics' further figures."""
    speed: Speed


class PairedInterval(_Result):
    """A paired difference of a group of questions, with its image-clustered interval."""

    value: float | None
    stderr: float | None
    """None where fewer than two images, or no variation, give an estimate."""
    ci95: tuple[float, float] | None
    n: int
    images: int


class Difference(_Result):
    """One run against another on the same questions."""

    run: str
    against: str
    """Keys of RunRow."""
    difference: float
    """Points by which `run` scores higher."""
    stderr: float | None
    ci95: tuple[float, float] | None
    """Image-clustered, not corrected for the number of comparisons."""
    p: float | None
    """Permutation test, sign flips by image."""
    p_corrected: float | None
    """Holm, over every comparison of this report."""
    n: int
    images: int
    left_out: int
    """Common questions that one of the two has no score for, under the policy in force."""
    failed_scored_zero: float | None
    """The difference with failed questions scored 0 (with policy `zero`: with them dropped);
    None where none failed."""
    wins: int
    ties: int
    losses: int
    detectable: float | None
    """The smallest true difference found 80% of the time at a level of 5%."""
    detectable_corrected: float | None
    """The same at 5% over the number of comparisons made."""
    both_right: int
    run_only_right: int
    against_only_right: int
    both_wrong: int
    agreement: float | None
    kappa: float | None
    same_prediction: float | None
    """Share of the compared questions that both answered with the same text, case and space apart;
    where no gold is published, of the questions that both answered."""
    answered: int = 0
    """Questions that both answered."""
    differs: tuple[str, ...]
    """What differs between the two runs' identities, beside the model."""
    outcome: Outcome
    sentence: str


class GroupRow(_Result):
    """A group of a breakdown."""

    group: str
    n: int
    images: int
    scores: dict[str, Interval]
    """By run."""
    differences: dict[str, PairedInterval]
    """By run, against the run that it is compared with."""


class Breakdown(_Result):
    """The scores by one property of the questions; exploratory: no correction is applied."""

    name: str
    groups: tuple[GroupRow, ...]


class Published(_Result):
    """A score that somebody else measured."""

    model: str
    value: float
    metric: str
    by: str
    note: str


class DatasetComparison(_Result):
    """Everything about the runs on one dataset."""

    dataset: str
    title: str
    metric: str
    metric_title: str
    baseline: str
    questions: int
    """Common to all runs."""
    images: int
    """Clusters, images or whatever `cluster` calls them: the errors are clustered by them."""
    cluster: str = "image"
    """What makes questions dependent, as the dataset's file calls it: image, document, …"""
    runs: tuple[RunRow, ...]
    """Best first."""
    differences: tuple[Difference, ...]
    breakdowns: tuple[Breakdown, ...]
    published: tuple[Published, ...]
    notes: tuple[str, ...]
    """What a reader must know: allowed mismatches, failed runs, random weights."""

    def row(self, key: str) -> RunRow:
        """The run of that key."""
        return next(run for run in self.runs if run.key == key)


@dataclass(frozen=True)
class Questions:
    """The common questions of one dataset with every run's answers, row by row."""

    table: pd.DataFrame
    """index, image, image_path, images (paths of all), width, height, question, options, answers,
    question_type, answer_type."""
    answers: dict[str, pd.DataFrame]
    """Run key to output, prediction, finish_reason, error, score (NaN: none)."""


class Comparison(_Result):
    """Several runs to one verdict."""

    name: str
    title: str
    verdict: str
    created: str
    """UTC, ISO 8601."""
    comparisons: int
    """How many tests Holm's correction is over."""
    failed_policy: FailedPolicy
    allowed: tuple[str, ...] = Field(description="mismatches that were let through")
    datasets: tuple[DatasetComparison, ...]

    _questions: dict[str, Questions] = PrivateAttr(default_factory=dict)

    def questions(self, dataset: str) -> Questions:
        """The per-question answers behind a dataset's figures; not part of the JSON."""
        return self._questions[dataset]

    def to_json(self) -> dict[str, Any]:
        """As JSON-ready types."""
        return self.model_dump(mode="json")
