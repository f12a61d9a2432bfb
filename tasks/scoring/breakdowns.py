"""Into which groups a dataset's samples fall, for scores by group.

A breakdown is shown only where it says something: where the dataset's rows have the property and
fall into at least two groups. A group's interval is that of its own samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pixtrack.tasks.runs.directory import Interval
from pixtrack.tasks.scoring.uncertainty import interval_of_codes

MEGAPIXEL_EDGES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""VQAv2's and TextVQA's images are under 1 megapixel, a scanned page is 2 to 4."""
ANSWER_WORD_EDGES = (1, 3, 6)
"""Most golds are one word; over six is a sentence."""
TYPE_SEPARATOR = ", "
"""Between the types of a question that has several (DocVQA: "table/list, form")."""


def scores_by_group(
    table: pd.DataFrame, metrics: Iterable[str], codes: NDArray[np.intp]
) -> dict[str, dict[str, dict[str, Interval]]]:
    """Breakdown to group to metric to interval; `codes` numbers each row's image from 0.

    `table` has the columns question_type, answer_type, width, height (pixels, 0: unknown) and
    answers; groups are in their natural order.
    """
    columns = {metric: table[metric].to_numpy(dtype=float) for metric in metrics}
    result = {}
    for name, members in groups_of(table).items():
        if len(members) < 2:
            continue
        result[name] = {
            group: {
                metric: interval_of_codes(scores[rows], codes[rows])
                for metric, scores in columns.items()
            }
            for group, rows in members.items()
        }
    return result


def groups_of(table: pd.DataFrame) -> Mapping[str, dict[str, NDArray[np.intp]]]:
    """Breakdown to group to the positions of its rows in `table`.

    A row may be in several groups.
    """
    return {
        "question_type": _by_type(table["question_type"].tolist()),
        "answer_type": _by_type(table["answer_type"].tolist()),
        "image_size": _by_image_size(table),
        "answer_length": _by_answer_length(table["answers"].tolist()),
    }


def _by_type(types: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Group to row positions; a row with several types counts in each of them."""
    members: dict[str, list[int]] = {}
    for position, names in enumerate(types):
        for name in dict.fromkeys(part.strip() for part in names.split(TYPE_SEPARATOR)):
            if name:
                members.setdefault(name, []).append(position)
    return {name: np.array(members[name], dtype=np.intp) for name in sorted(members)}


def _by_image_size(table: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    pixels = table["width"].to_numpy(dtype=float) * table["height"].to_numpy(dtype=float)
    edges = MEGAPIXEL_EDGES
    labels = [
        f"under {edges[0]:g} MP",
        *(f"{low:g} to {high:g} MP" for low, high in pairwise(edges)),
        f"{edges[-1]:g} MP and more",
    ]
    buckets = np.digitize(pixels / 1e6, edges)
    return _members(labels, buckets, pixels > 0)


def _by_answer_length(answers: Sequence[Sequence[str]]) -> dict[str, NDArray[np.intp]]:
    """By the words of the gold that most annotators gave; of the first one among equals."""
    words = np.array([len(_majority(golds).split()) if len(golds) else 0 for golds in answers])
    labels = ["1 word", "2 to 3 words", "4 to 6 words", "7 words and more"]
    buckets = np.digitize(words, ANSWER_WORD_EDGES, right=True)
    return _members(labels, buckets, words > 0)


def _members(
    labels: Sequence[str], buckets: NDArray[np.intp], known: NDArray[np.bool_]
) -> dict[str, NDArray[np.intp]]:
    found = {
        label: np.flatnonzero((buckets == number) & known) for number, label in enumerate(labels)
    }
    return {label: rows for label, rows in found.items() if len(rows)}


def _majority(golds: Sequence[str]) -> str:
    counts: dict[str, int] = {}
    for gold in golds:
        counts[gold] = counts.get(gold, 0) + 1
    return max(counts, key=lambda gold: counts[gold])
