"""Brings several runs of one dataset onto the questions that all of them were asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pixtrack.configs.errors import UserError
from pixtrack.tasks.comparison.load import LoadedRun
from pixtrack.tasks.comparison.result import FailedPolicy
from pixtrack.tasks.scoring.scored import clusters_of

QUESTION_COLUMNS = (
    "index",
    "question_id",
    "image",
    "image_path",
    "width",
    "height",
    "question",
    "answers",
    "question_type",
    "answer_type",
)


Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Aligned:
    """The common questions, in the first run's order; every run's table has the same rows."""

    questions: pd.DataFrame
    images: NDArray[np.intp]
    """Each question's image, numbered from 0."""
    runs: dict[str, pd.DataFrame]
    """Run name to its rows of scores.parquet."""
    notes: tuple[str, ...]

    @property
    def n_images(self) -> int:
        """Distinct images."""
        return len(np.unique(self.images))


def align(runs: Sequence[LoadedRun]) -> Aligned:
    """The questions that every run has, matched by index within one version of the dataset.

    Across versions an index means another question, so there the image's content hash and the
    question's text match (the n-th occurrence with the n-th).
    """
    same_version = len({run.record.dataset_digest for run in runs}) == 1
    keyed = [run.scores.set_index(_keys(run.scores, same_version)) for run in runs]
    common = keyed[0].index
    for table in keyed[1:]:
        common = common[common.isin(table.index)]
    if len(common) == 0:
        every = ", ".join(run.record.name for run in runs)
        raise UserError(
            f"no question in common between {every}: nothing to compare: name runs on the same questions"
        )
    tables = [table.loc[common].reset_index(drop=True) for table in keyed]
    first = tables[0]
    notes = []
    for run, table in zip(runs[1:], tables[1:], strict=True):
        differing = sum(
            list(a) != list(b) for a, b in zip(first["answers"], table["answers"], strict=True)
        )
        if differing:
            notes.append(
                f"{run.record.name}: scored against other golds than {runs[0].record.name} "
                f"on {differing:,} of {len(first):,} questions."
            )
    names = [run.record.name for run in runs]
    return Aligned(
        questions=first[list(QUESTION_COLUMNS)].assign(
            images=_lists(
                first, "images", [[path] if path else [] for path in first["image_path"]]
            ),
            options=_lists(first, "options", [[] for _ in range(len(first))]),
        ),
        images=clusters_of(first),
        runs=dict(zip(names, tables, strict=True)),
        notes=tuple(notes),
    )


def _lists(table: pd.DataFrame, column: str, before: list[list[str]]) -> pd.Series:
    """A column of lists; `before` for a table from before there was such a column."""
    if column not in table.columns:
        return pd.Series(before, index=table.index, dtype=object)
    cells = [[] if cell is None else [str(one) for one in cell] for cell in table[column]]
    return pd.Series(cells, index=table.index, dtype=object)


def failed_rows(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows have no output: bad row, refused, engine error, or not answered."""
    bad = table["error"].fillna("").astype(str).ne("")
    return np.asarray(bad | table["finish_reason"].isin(["refused", "error", ""]), dtype=bool)


def effective_scores(aligned: Aligned, columns: dict[str, str], policy: FailedPolicy) -> Scores:
    """Each run's scores in [0, 1] by run name, `columns` being its metric; NaN: does not count.

    `drop` leaves failed questions out; `zero` scores them 0, except where another run shows that
    the metric leaves the question out by itself, and where there is no gold.
    """
    without_gold = np.array([len(golds) == 0 for golds in aligned.questions["answers"]])
    raw = {name: t[columns[name]].to_numpy(dtype=float) for name, t in aligned.runs.items()}
    failed = {name: failed_rows(table) for name, table in aligned.runs.items()}
    left_out = np.any([np.isnan(raw[name]) & ~failed[name] for name in raw], axis=0)
    zero = np.where(left_out | without_gold | (policy == "drop"), np.nan, 0.0)
    return {name: np.where(failed[name], zero, raw[name]) for name in raw}


def _keys(scores: pd.DataFrame, same_version: bool) -> pd.Index:
    if same_version:
        index: pd.Index[Any] = pd.Index(scores["index"])
        return index
    content = scores["image"].where(scores["image"] != "", scores["question_id"])
    text = content + "\n" + scores["question"].str.strip()
    occurrence = text.groupby(text).cumcount().astype(str)
    keys: list[str] = (text + "\n" + occurrence).tolist()
    return pd.Index(keys)
