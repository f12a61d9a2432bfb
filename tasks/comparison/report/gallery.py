"""The browsable questions of the page, as compact JSON: columns, not records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pixtrack.tasks.comparison.align import failed_rows
from pixtrack.tasks.comparison.report.thumbnails import PIXELS, encoded
from pixtrack.tasks.comparison.result import Comparison, DatasetComparison, Questions
from pixtrack.tasks.comparison.statistics import RIGHT
from pixtrack.tasks.runs.requests import letters

TEXT_LIMIT = 2_000
"""Characters of one output, question or gold that the page holds."""
IMAGES_OF_A_QUESTION = 8
"""Of a question on more images, a document's pages say, the page shows the first so many."""
DATA_SHARE = 0.55
"""Of the page's bytes that text may take; the rest is for images."""


@dataclass(frozen=True)
class Gallery:
    """What goes into the page's script tags."""

    data: str
    """JSON of all datasets' questions, safe inside a script tag."""
    images: tuple[str, ...]
    """One JSON array of base64 WebP a dataset, safe inside a script tag."""
    questions: int
    questions_of: int
    with_image: int
    """Questions of whose images the page holds at least one."""
    images_held: int


def build_gallery(
    comparison: Comparison, images: Path, budget: int, pixels: int = PIXELS
) -> Gallery:
    """The gallery within `budget` bytes; `images` is the image store.

    Questions come in an order of interest: the runs disagree, one has no answer, all are wrong,
    the rest. Where the text of all would not fit, the least interesting are left out.
    """
    blocks, wanted = [], []
    sets = [comparison.questions(dataset.dataset) for dataset in comparison.datasets]
    kept_rows = _fitting(sets, int(budget * DATA_SHARE))
    for dataset, questions, (order, kept) in zip(comparison.datasets, sets, kept_rows, strict=True):
        blocks.append((dataset, questions, kept))
        wanted.append(_images_by_interest(questions, [row for row in order if row in kept]))
    texts = [_block(*block) for block in blocks]
    spent = sum(len(json.dumps(text, ensure_ascii=False).encode()) for text in texts)
    left = max(0, budget - spent)
    stored: list[dict[str, str]] = []
    for number, keys in enumerate(wanted):
        paths = [(key, images / path) for key, path in keys]
        part = left // (len(wanted) - number)
        found = encoded(paths, part, pixels)
        left -= sum(len(text) + 3 for text in found.values())
        stored.append(found)
    with_image = 0
    for text, found, (_, questions, kept) in zip(texts, stored, blocks, strict=True):
        position = {key: number for number, key in enumerate(found)}
        shown = [_paths(row) for row in questions.table.iloc[sorted(kept)].to_dict("records")]
        text["image"] = [[position.get(path, -1) for path in paths] for paths in shown]
        with_image += sum(any(number >= 0 for number in numbers) for numbers in text["image"])
    return Gallery(
        data=script_json({"right": RIGHT, "datasets": texts}),
        images=tuple(script_json(list(found.values())) for found in stored),
        questions=sum(len(kept) for _, _, kept in blocks),
        questions_of=sum(len(questions.table) for _, questions, _ in blocks),
        with_image=with_image,
        images_held=sum(len(found) for found in stored),
    )


def by_interest(questions: Questions) -> list[int]:
    """Row positions, most interesting first; within a class in the dataset's order."""
    scores = np.array([table["score"].to_numpy(float) for table in questions.answers.values()])
    right = scores >= RIGHT
    known = ~np.isnan(scores)
    disagree = (right & known).any(axis=0) & (~right & known).any(axis=0)
    spread = np.zeros(scores.shape[1])
    if scores.size:
        filled = np.where(known, scores, 0.0)
        spread = filled.max(axis=0) - filled.min(axis=0)
    missing = (~known).any(axis=0)
    all_wrong = ~right.any(axis=0)
    if not known.any():  # no golds: the answers differ, or they do not
        failed = [failed_rows(table) for table in questions.answers.values()]
        disagree, missing = _answers_differ(questions), np.any(failed, axis=0)
    rank = np.select([disagree, missing, spread > 0, all_wrong], [0, 1, 2, 3], default=4)
    return [int(row) for row in np.lexsort((np.arange(len(rank)), rank))]


def _answers_differ(questions: Questions) -> NDArray[np.bool_]:
    """On which questions the runs' predictions differ, case and space apart."""
    texts = [
        [" ".join(text.casefold().split()) for text in table["prediction"].fillna("").astype(str)]
        for table in questions.answers.values()
    ]
    return np.array([len(set(said)) > 1 for said in zip(*texts, strict=True)], dtype=bool)


def script_json(value: Any) -> str:
    """JSON that cannot end the script tag it stands in, whatever strings it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "replace").decode()  # lone surrogates cannot be written


def _fitting(sets: Sequence[Questions], budget: int) -> list[tuple[list[int], set[int]]]:
    """Each dataset's order of interest and the rows of it that fit into all datasets' `budget`.

    What a small dataset leaves of its share is the larger ones'.
    """
    sizes = [_sizes(questions) for questions in sets]
    found: dict[int, tuple[list[int], set[int]]] = {}
    for done, number in enumerate(sorted(range(len(sets)), key=lambda one: sizes[one].sum())):
        share = budget // (len(sets) - done)
        order, kept, total = by_interest(sets[number]), set(), 0
        for row in order:
            if total + int(sizes[number][row]) > share:
                break
            total += int(sizes[number][row])
            kept.add(row)
        budget -= total
        found[number] = order, kept
    return [found[number] for number in range(len(sets))]


def _sizes(questions: Questions) -> NDArray[np.int64]:
    """About how many bytes each question takes in the page, without its image."""
    sizes = np.full(len(questions.table), 80)  # numbers, quotes, commas
    for column in ("question", "question_id"):
        sizes += _bytes(questions.table[column])
    for column in ("answers", "options", "images"):
        sizes += np.array([sum(map(_length, texts)) for texts in questions.table[column]], int)
    for table in questions.answers.values():
        sizes += _bytes(table["output"]) + _bytes(table["prediction"]) + _bytes(table["error"]) + 12
    return sizes


def _bytes(column: pd.Series) -> NDArray[np.int64]:
    return np.array([_length(text) for text in column.fillna("")], dtype=np.int64)


def _length(text: object) -> int:
    return len(str(text)[:TEXT_LIMIT].encode("utf-8", "replace")) + 3


def _images_by_interest(questions: Questions, order: list[int]) -> list[tuple[str, str]]:
    """(key, path) of the images, each once; the path is the key. Imported runs have none here."""
    rows = questions.table.iloc[order].to_dict("records")
    paths = dict.fromkeys(path for row in rows if row["image"] for path in _paths(row))
    return [(path, path) for path in paths]


def _paths(row: dict[Any, Any]) -> list[str]:
    """The images of a question that the page shows; of a document its first pages."""
    return list(row["images"][:IMAGES_OF_A_QUESTION])


def _block(dataset: DatasetComparison, questions: Questions, kept: set[int]) -> dict[str, Any]:
    rows = sorted(kept)
    table = questions.table.iloc[rows]
    types = sorted(set(table["question_type"]) | set(table["answer_type"]))
    number = {name: i for i, name in enumerate(types)}
    return {
        "name": dataset.dataset,
        "title": dataset.title,
        "metric": dataset.metric_title,
        "types": types,
        "index": table["index"].tolist(),
        "id": table["question_id"].astype(str).tolist(),
        "question": [_cut(text) for text in table["question"]],
        "options": [
            [f"{letter}. {_cut(text)}" for letter, text in zip(letters(len(o)), o, strict=True)]
            for o in table["options"]
        ],
        "golds": [list(dict.fromkeys(_cut(gold) for gold in golds)) for golds in table["answers"]],
        "type": [number[name] for name in table["question_type"]],
        "answerType": [number[name] for name in table["answer_type"]],
        "size": [f"{w}×{h}" for w, h in zip(table["width"], table["height"], strict=True)],
        "path": [_paths(row) for row in table.to_dict("records")],
        "more": [max(0, len(o) - IMAGES_OF_A_QUESTION) for o in table["images"]],
        "image": [],
        "runs": [
            _answers(questions.answers[run.key].iloc[rows], run.key, run.label)
            for run in sorted(dataset.runs, key=lambda run: int(run.key[1:]))
        ],
    }


def _answers(table: pd.DataFrame, key: str, label: str) -> dict[str, Any]:
    output = [_cut(text) for text in table["output"].fillna("")]
    prediction = [_cut(text) for text in table["prediction"].fillna("")]
    return {
        "key": key,
        "label": label,
        "output": output,
        # Only where post-processing changed something: 0 stands for "as the output".
        "prediction": [
            0 if made == raw.strip() else made for made, raw in zip(prediction, output, strict=True)
        ],
        "score": [None if np.isnan(s) else round(float(s), 3) for s in table["score"]],
        "cut": (table["finish_reason"] == "length").astype(int).tolist(),
        "failed": failed_rows(table).astype(int).tolist(),
        "error": [_cut(text) for text in table["error"].fillna("")],
    }


def _cut(text: object) -> str:
    words = str(text)
    if len(words) <= TEXT_LIMIT:
        return words
    return f"{words[:TEXT_LIMIT]} […{len(words) - TEXT_LIMIT:,} more characters in scores.parquet]"
