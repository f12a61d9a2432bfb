"""Anybody's predictions, read from a file: one for each sample, or an error that says what is off.

Two layouts: JSON lines (or a CSV) with `index`, the 0-based row of the annotation file, and
`prediction`; and the CSV of the original scripts, whose rows are in annotation order.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.tasks.records import Sample

_LISTED_RANGES = 60
"""An error lists this many runs of indexes, then says how many more there are."""
_CSV_FIELD_BYTES = 1 << 30
_INDEX_DIGITS = 18
"""No file has more rows; Python refuses to read a number of thousands of digits."""


def read_predictions(path: Path, samples: Sequence[Sample]) -> dict[int, str]:
    """Sample index to prediction, for exactly the samples given.

    Raises UserError for an unreadable file, a bad line (with its number), an index that is
    missing, extra or there twice (all of them listed), and for a CSV of the original scripts
    whose question differs from the annotation's (the first such row).
    """
    text = _text(path)
    if not text.strip():
        raise UserError(f"{path}: the file is empty: it needs a prediction for each row")
    if text.lstrip()[0] in "{[":
        return _from_json_lines(path, text, samples)
    return _from_csv(path, text, samples)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such predictions file: correct the path") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid UTF-8 at byte {error.start}") from None


def _from_json_lines(path: Path, text: str, samples: Sequence[Sample]) -> dict[int, str]:
    found: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            # Numbers stay as they are written: a prediction 0.50 is not 0.5.
            data = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}:{number}: not a JSON object a line ({error})") from None
        if not isinstance(data, dict):
            raise UserError(f'{path}:{number}: expected {{"index": …, "prediction": …}} a line')
        for key in ("index", "prediction"):
            if key not in data:
                has = ", ".join(map(str, data)) or "nothing"
                raise UserError(f"{path}:{number}: no key {key!r}; the line has {has}")
        prediction = data["prediction"]
        if not isinstance(prediction, str):
            raise UserError(
                f"{path}:{number}: prediction: expected a string, found "
                f'{json.dumps(prediction)[:60]}; write "" where there is none'
            )
        found.append((_index(data["index"], f"{path}:{number}"), prediction))
    return _checked(path, found, samples)


def _index(value: Any, where: str) -> int:
    text = value.strip() if isinstance(value, str) else ""
    if text.isascii() and text.isdigit() and len(text) <= _INDEX_DIGITS:
        return int(text)
    found = f"{value!r:.60}"
    raise UserError(f"{where}: index: expected the 0-based row number, found {found}")


def _from_csv(path: Path, text: str, samples: Sequence[Sample]) -> dict[int, str]:
    csv.field_size_limit(_CSV_FIELD_BYTES)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        columns = list(reader.fieldnames or ())
        rows = list(reader)
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: not a CSV file ({error})") from None
    if {"index", "prediction"} <= set(columns):
        found = [
            (_index(row["index"], f"{path} row {number}"), row["prediction"] or "")
            for number, row in enumerate(rows)
        ]
        return _checked(path, found, samples)
    if not {"question", "predict"} <= set(columns):
        raise UserError(
            f"{path}: neither JSON lines nor a CSV with the columns index, prediction, or "
            f"question, predict (question_id, gt, image_id); it has {', '.join(columns)[:200]}"
        )
    return _in_annotation_order(path, rows, samples)


def _in_annotation_order(
    path: Path, rows: Sequence[Mapping[str, str]], samples: Sequence[Sample]
) -> dict[int, str]:
    """The original scripts' rows carry no index, so each is held against its question."""
    for number, (row, sample) in enumerate(zip(rows, samples, strict=False)):
        if sample.error:
            continue  # the annotation's own row is bad: nothing to compare with
        seen = _words(row["question"] or "")
        if seen not in {_words(question) for question in _spellings(sample)}:
            raise UserError(
                f"{path}: row {number} (0-based) asks {seen[:80]!r}, but row {sample.index} of the "
                f"annotations asks {_words(sample.question)[:80]!r}: the rows have to be those of "
                f"the annotation file, in its order"
            )
        if not _same_id(row.get("question_id") or "", sample.question_id):
            raise UserError(
                f"{path}: row {number} (0-based) has question_id {row['question_id']!r}, but row "
                f"{sample.index} of the annotations {sample.question_id!r}: the rows have to be "
                f"those of the annotation file, in its order"
            )
    if len(rows) != len(samples):
        beyond = range(min(len(rows), len(samples)), max(len(rows), len(samples)))
        which = "missing" if len(rows) < len(samples) else "extra"
        raise UserError(
            f"{path}: {len(rows)} rows for the {len(samples)} of the annotations; "
            f"{which}: {_listed(beyond)}"
        )
    return {sample.index: row["predict"] or "" for row, sample in zip(rows, samples, strict=True)}


def _spellings(sample: Sample) -> tuple[str, ...]:
    """How the scripts may have written the question: of a conversation, the list of its turns."""
    turns = [*(turn.question for turn in sample.history), sample.question]
    return (sample.question, turns[0], str(turns))


def _words(text: str) -> str:
    return " ".join(text.split())


def _same_id(seen: str, expected: str) -> bool:
    """Whether two question ids agree; "000012" may have become 12 on its way through a CSV."""
    if not seen.strip() or not expected:
        return True
    return seen.strip().lstrip("0") == expected.strip().lstrip("0")


def _checked(
    path: Path, found: Sequence[tuple[int, str]], samples: Sequence[Sample]
) -> dict[int, str]:
    predictions: dict[int, str] = {}
    twice = set()
    for index, prediction in found:
        if index in predictions:
            twice.add(index)
        predictions[index] = prediction
    check_indexes(path, predictions, samples, twice)
    return predictions


def check_indexes(
    path: Path, found: Iterable[int], samples: Sequence[Sample], twice: Iterable[int] = ()
) -> None:
    """Raises UserError where the indexes are not exactly those of the samples, and lists them."""
    seen, wanted = set(found), {sample.index for sample in samples}
    problems = [
        f"{name}: {_listed(indexes)}"
        for name, indexes in (
            ("missing", wanted - seen),
            ("extra", seen - wanted),
            ("more than once", set(twice)),
        )
        if indexes
    ]
    if problems:
        raise UserError(
            f"{path}: one prediction is needed for each of the {len(wanted)} rows; "
            f"indexes {'; '.join(problems)}"
        )


def _listed(indexes: Iterable[int]) -> str:
    """3, 7-9, 12 (5 in all)."""
    runs: list[list[int]] = []
    ordered = sorted(indexes)
    for index in ordered:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    texts = [str(low) if low == high else f"{low}-{high}" for low, high in runs]
    more = f", … and {len(texts) - _LISTED_RANGES} more" if len(texts) > _LISTED_RANGES else ""
    return f"{', '.join(texts[:_LISTED_RANGES])}{more} ({len(ordered)} in all)"
