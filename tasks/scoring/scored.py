"""Scores a run's answers: every sample by every metric of its dataset, with uncertainty.

Called after inference, and again at any time: raw output is all it needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pixtrack.configs.schema import DatasetConfig, PromptConfig
from pixtrack.tasks.records import Answer, Sample
from pixtrack.tasks.runs.directory import Count, Interval
from pixtrack.tasks.scoring import postprocess
from pixtrack.tasks.scoring.breakdowns import scores_by_group
from pixtrack.tasks.scoring.metric import Metric, ScoredAnswer, ScoreFunction
from pixtrack.tasks.scoring.metrics import metric_of
from pixtrack.tasks.scoring.own import Answered, OwnFunction, answered
from pixtrack.tasks.scoring.uncertainty import interval_of_codes, interval_of_whole

NOT_ANSWERED = "not answered"


@dataclass(frozen=True)
class ScoredRun:
    """A run's scores. The table is what scores.parquet holds."""

    table: pd.DataFrame
    """One row a sample, by index: what was asked, what came back, and one float column a metric
    in [0, 1], null for a failed sample and for a row that the metric leaves out."""
    metrics: dict[str, Interval]
    """Metric to mean and uncertainty over the samples that have a score, 0-100."""
    by: dict[str, dict[str, dict[str, Interval]]]
    """Breakdown to group to metric."""
    states: dict[str, dict[str, Count]] = field(default_factory=dict)
    """Post-processing step or metric to how it read answers, where that is worth counting."""
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    """Metric to what is shown beside its score."""


def score_samples(
    samples: Sequence[Sample],
    answers: Mapping[int, Answer],
    dataset: DatasetConfig,
    prompt: PromptConfig,
) -> ScoredRun:
    """Scores the samples' answers by the dataset's metrics.

    The prompt's post-processing makes predictions of raw outputs. A sample whose row is bad, that
    was not answered, or whose request failed has a reason in `error` and no scores: a failure
    never becomes a number.
    """
    return score_outputs(samples, answers, dataset, prompt.for_dataset(dataset.name).postprocess)


def score_outputs(
    samples: Sequence[Sample],
    answers: Mapping[int, Answer],
    dataset: DatasetConfig,
    steps: Sequence[str] = (),
) -> ScoredRun:
    """`score_samples` with the post-processing steps as they are, for outputs without a prompt."""
    metrics = [_Applied(name, metric_of(dataset, name), dataset) for name in dataset.metrics]
    postprocess.check_steps(steps)  # an error even without an answer
    rows = []
    read: Counter[tuple[str, str]] = Counter()
    readings = 0
    for sample in sorted(samples, key=lambda sample: sample.index):
        answer = answers.get(sample.index)
        error = sample.error or (NOT_ANSWERED if answer is None else "")
        reading = postprocess.Reading("")
        if answer is not None and answer.failed:
            error = error or answer.error or f"request {answer.finish_reason}"
        elif answer is not None:
            reading = postprocess.read(steps, answer.text, answer.finish_reason == "length")
        states: tuple[tuple[str, str], ...] = ()
        scores: dict[str, float | None] = dict.fromkeys(dataset.metrics)
        if answer is not None and not error:
            found = {one.name: one.score(sample, answer, reading.prediction) for one in metrics}
            scores = {name: score for name, (score, _) in found.items()}
            states = (*reading.states, *((name, said) for name, (_, said) in found.items() if said))
            read.update(states)
            readings += 1
        state = "; ".join(f"{owner}: {text}" for owner, text in states)
        rows.append(
            {
                **_asked(sample),
                **_answered(answer, reading.prediction, error),
                "state": state,
                **scores,
            }
        )
    whole = {one.name: made for one in metrics if (made := one.over_the_run(rows)) is not None}
    table = _table(rows, tuple(dataset.metrics))
    codes = clusters_of(table)
    return ScoredRun(
        table=table,
        metrics={
            name: whole.get(name) or interval_of_codes(table[name].to_numpy(), codes)
            for name in dataset.metrics
        },
        by=scores_by_group(table, dataset.metrics, codes),
        states=_counted(read, readings, metrics),
        figures={one.name: figures for one in metrics if (figures := one.figures())},
    )


class _Applied:
    """One metric at work on a dataset, and what it has scored."""

    def __init__(self, name: str, metric: Metric, dataset: DatasetConfig) -> None:
        self.name = name
        self.scored = 0
        self._metric = metric
        self._function: ScoreFunction = metric.for_dataset(dataset)
        self._answers: list[ScoredAnswer] = []
        self._own: list[Answered] = []
        """What the user's own function is to score over the whole run."""

    def score(self, sample: Sample, answer: Answer, prediction: str) -> tuple[float | None, str]:
        """(score, state) of an answer; (None, "") where the metric leaves the row out."""
        if self._metric.own is not None:
            return self._by_own(self._metric.own, answered(sample, answer, prediction)), ""
        text = answer.text if self._metric.reads_output else prediction
        gold = sample.gold
        score = self._function(text, gold) if gold.answers else None
        if score is None:
            return None, ""
        self.scored += 1
        if self._metric.figures:
            self._answers.append(ScoredAnswer(text, gold, score))
        return score, self._metric.state(text, gold) if self._metric.state else ""

    def _by_own(self, own: OwnFunction, one: Answered) -> float | None:
        if own.whole_run:
            self._own.append(one)
            return None
        return own.score(one)

    def over_the_run(self, rows: Sequence[dict[str, object]]) -> Interval | None:
        """Has the user's own function score all answers at once, if it is made so.

        Scores of questions are put into `rows`; one number for all is returned, with its
        uncertainty. None for every other metric.
        """
        own = self._metric.own
        if own is None or not own.whole_run or not self._own:
            return None
        found = own.scores(self._own)
        if isinstance(found, float):
            return interval_of_whole(own.number, self._own, [one.group for one in self._own])
        by_index = {one.index: score for one, score in zip(self._own, found, strict=True)}
        for row in rows:
            row[self.name] = by_index.get(row["index"])  # type: ignore[call-overload]
        return None

    def figures(self) -> dict[str, float]:
        """What stands beside the score, over all answers so far."""
        found = {name: function(self._answers) for name, function in self._metric.figures.items()}
        return {name: value for name, value in found.items() if value is not None}


def _counted(
    read: Mapping[tuple[str, str], int], readings: int, metrics: Sequence[_Applied]
) -> dict[str, dict[str, Count]]:
    """The states by who says so, steps first, each out of the answers that it was asked of."""
    scored = {one.name: one.scored for one in metrics}
    counted: dict[str, dict[str, Count]] = {}
    for (owner, state), count in sorted(read.items(), key=lambda item: item[0][0] in scored):
        counted.setdefault(owner, {})[state] = Count(count=count, of=scored.get(owner, readings))
    return counted


def clusters_of(table: pd.DataFrame) -> NDArray[np.intp]:
    """Each row's cluster as a number from 0: the errors of rows with the same one are dependent.

    A table that was written before samples had a `cluster` is clustered by the image's content
    hash, else by its file; a row without an image is a cluster of its own.
    """
    if "cluster" in table.columns:
        return pd.factorize(table["cluster"])[0]
    alone = "row " + table["index"].astype(str)
    key = table["image"].where(table["image"] != "", table["image_path"])
    codes, _ = pd.factorize(key.where(key != "", alone))
    return codes


def _asked(sample: Sample) -> dict[str, object]:
    return {
        "index": sample.index,
        "question_id": sample.question_id,
        "image": sample.image,
        "image_path": sample.image_path,
        "images": [image.path for image in sample.images],
        "cluster": sample.cluster_key,
        "width": sample.width,
        "height": sample.height,
        "question": sample.question,
        "answers": list(sample.answers),
        "options": list(sample.options),
        "question_type": sample.question_type,
        "answer_type": sample.answer_type,
    }


def _answered(answer: Answer | None, prediction: str, error: str) -> dict[str, object]:
    return {
        "output": _storable(answer.text) if answer else "",
        "prediction": _storable(prediction),
        "finish_reason": answer.finish_reason if answer else "",
        "error": error,
        "prompt_tokens": answer.prompt_tokens if answer else 0,
        "cached_tokens": answer.cached_tokens if answer else 0,
        "output_tokens": answer.output_tokens if answer else 0,
        "seconds": answer.seconds if answer else 0.0,
        "images_left_out": answer.left_out if answer else 0,
    }


def _storable(text: str) -> str:
    """`text` without halves of surrogate pairs, which neither parquet nor CSV can hold.

    An endpoint that cuts an answer in the middle of an emoji sends such halves; the journal keeps
    them as they came.
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _table(rows: Sequence[Mapping[str, object]], metrics: Sequence[str]) -> pd.DataFrame:
    columns = [*_asked(_EMPTY), *_answered(None, "", ""), "state", *metrics]
    table = pd.DataFrame(list(rows), columns=columns)
    tokens = ("prompt_tokens", "cached_tokens", "output_tokens")
    whole = ("index", "width", "height", *tokens, "images_left_out")
    return table.astype(
        {
            **dict.fromkeys(whole, "int64"),
            **dict.fromkeys(("seconds", *metrics), "float64"),
        }
    )


_EMPTY = Sample(0, "", "", ())
