"""Brings the rows of a hub repository into the order of the dataset's annotation file.

A sample's index is its row in the annotation file, in runs and in files of predictions alike; the
hub's rows may stand in another order. The comparison also shows whether both say the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from pixtrack.tasks.datasets.rows import RawRow
from pixtrack.tasks.records import Sample


@dataclass(frozen=True)
class Alignment:
    """The samples with their final indexes, sorted."""

    samples: tuple[Sample, ...]
    aligned: bool
    """Whether every hub row has its annotation row and the other way round. If not, the indexes are
    unchanged; for a selection, annotation rows without a hub row are failed samples."""
    notes: dict[str, int]
    """Counts: rows_only_in_annotations, rows_only_on_hub, questions_differ, golds_differ, and
    order_decided: where the order differs, rows that share question and golds with another row,
    so that only their order says which image belongs to which."""


def align(samples: Sequence[Sample], rows: Sequence[RawRow], select: bool) -> Alignment:
    """Gives every sample the index of its annotation row.

    Rows are matched by question id where ids are unique on both sides, else by question and golds:
    first at the same position, then in order of occurrence.

    Args:
        samples: the hub's samples
        rows: the rows of the annotation file
        select: whether the annotation file decides which samples the dataset has: others are left
            out, and annotation rows without a sample become failed samples
    """
    by_id = _unique(s.question_id for s in samples) and _unique(r.question_id for r in rows)
    where = _match(samples, rows, by_id)
    unmatched = [number for number, index in enumerate(where) if index is None]
    missing = sorted(set(range(len(rows))) - {index for index in where if index is not None})
    notes = Counter(rows_only_in_annotations=len(missing), rows_only_on_hub=len(unmatched))
    pairs = [(s, rows[i]) for s, i in zip(samples, where, strict=True) if i is not None]
    keys = Counter(_key(row, by_id) for row in rows)
    if where != list(range(len(rows))):
        notes["order_decided"] = sum(keys[_key(sample, by_id)] > 1 for sample in samples)
    notes["questions_differ"] = sum(_norm(s.question) != _norm(r.question) for s, r in pairs)
    notes["golds_differ"] = sum(sorted(s.answers) != sorted(r.answers) for s, r in pairs)
    aligned = not missing and not unmatched
    if not aligned and not select:
        return Alignment(tuple(samples), False, dict(notes))
    placed = [
        replace(sample, index=rows[index].index)
        for sample, index in zip(samples, where, strict=True)
        if index is not None
    ]
    placed += [_absent(rows[index]) for index in missing]
    return Alignment(tuple(sorted(placed, key=lambda s: s.index)), aligned, dict(notes))


def _match(samples: Sequence[Sample], rows: Sequence[RawRow], by_id: bool) -> list[int | None]:
    """For each sample the number of its row in `rows`; None where it has none."""
    keys = [_key(row, by_id) for row in rows]
    waiting: dict[Hashable, deque[int]] = defaultdict(deque)
    where: list[int | None] = [None] * len(samples)
    taken = set()
    for number, sample in enumerate(samples):
        if number < len(rows) and keys[number] == _key(sample, by_id):
            where[number] = number
            taken.add(number)
    for number, key in enumerate(keys):
        if number not in taken:
            waiting[key].append(number)
    for number, sample in enumerate(samples):
        queue = waiting.get(_key(sample, by_id))
        if where[number] is None and queue:
            where[number] = queue.popleft()
    return where


def _key(row: Sample | RawRow, by_id: bool) -> Hashable:
    if by_id:
        return row.question_id
    turns = tuple(_norm(turn.question) for turn in row.history)
    return turns, _norm(row.question), tuple(_norm(answer) for answer in row.answers)


def _norm(text: str) -> str:
    return " ".join(text.split())


def _unique(ids: Iterable[str]) -> bool:
    found = list(ids)
    return "" not in found and len(set(found)) == len(found)


def _absent(row: RawRow) -> Sample:
    return Sample(
        index=row.index,
        question_id=row.question_id,
        question=row.question,
        answers=row.answers,
        question_type=row.question_type,
        answer_type=row.answer_type,
        flags=row.flags,
        error=f"row {row.index}: question id {row.question_id} is not in the hub's files",
    )
