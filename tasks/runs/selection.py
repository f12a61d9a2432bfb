"""Which questions of a dataset a run asks, where it does not ask all of them or the first ones."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pixtrack.configs.errors import UserError
from pixtrack.tasks.records import Sample

_CANDIDATES = 32
"""So many groups of the shuffled ones are looked at for the one that keeps the mixture best."""


class Selection(BaseModel):
    """A rule that chooses questions: a random sample, or named ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample: int | None = Field(None, ge=1)
    """So many questions, drawn in whole image groups."""
    seed: int = 0
    """Of the draw: the same seed draws the same questions of the same dataset."""
    questions: tuple[str, ...] = ()
    """The ids of the questions, where they are named."""

    def choose(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        """The chosen samples, in the dataset's order.

        Raises UserError for ids that the dataset does not have.
        """
        if self.questions:
            return _named(samples, self.questions)
        if self.sample is None or self.sample >= len(samples):
            return tuple(samples)
        return _drawn(samples, self.sample, self.seed)

    @property
    def words(self) -> str:
        """The rule for a run's title."""
        if self.questions:
            return f"{len(self.questions):,} named questions"
        return f"sample of {self.sample:,}, seed {self.seed}" if self.sample else ""


def selection_of(
    limit: int | None, sample: int | None, seed: int | None, questions: Iterable[str] | None
) -> Selection | None:
    """The selection that a command asks for; None for all questions, and for the first ones.

    Raises UserError where more than one way is asked for.
    """
    given = [
        name
        for name, value in (("--limit", limit), ("--sample", sample), ("--questions", questions))
        if value is not None
    ]
    if len(given) > 1:
        raise UserError(
            f"{' and '.join(given)}: give one of them, each says which questions to ask"
        )
    if sample is not None:
        return Selection(sample=sample, seed=seed or 0)
    if questions is None:
        return None
    named = tuple(dict.fromkeys(questions))
    if not named:
        raise UserError("--questions: names no question")
    return Selection(questions=named)


def read_ids(file: Path) -> list[str]:
    """The ids in a file, one a line; empty lines are passed over. Raises UserError without any."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise UserError(f"--questions {file}: cannot be read ({reason})") from None
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise UserError(f"--questions {file}: has no id; it takes a question's id a line")
    return ids


def kept(
    samples: Sequence[Sample], limit: int | None, selection: Mapping[str, Any]
) -> tuple[Sample, ...]:
    """The samples that a run has asked, by its record's `limit` and `selection`."""
    if selection:
        chosen = set(selection["indices"])
        return tuple(sample for sample in samples if sample.index in chosen)
    return tuple(samples[:limit] if limit else samples)


def scope_words(limit: int | None, selection: Mapping[str, Any]) -> str:
    """Which questions a run asks, for its title: `first 20`; "" for all of them."""
    if selection:
        rule = {key: value for key, value in selection.items() if key != "indices"}
        return Selection.model_validate(rule).words
    return f"first {limit:,}" if limit else ""


def _named(samples: Sequence[Sample], wanted: Sequence[str]) -> tuple[Sample, ...]:
    """The samples with these ids; where the source's own repeat, the rows' numbers count."""
    unique = len({sample.question_id for sample in samples}) == len(samples)
    ids = {sample.question_id if unique else str(sample.index): sample for sample in samples}
    missing = [one for one in wanted if one not in ids]
    if missing:
        what = "ids" if unique else "rows (its own ids repeat, so that rows count from 0)"
        examples = ", ".join(list(ids)[:3])
        raise UserError(
            f"--questions: {len(missing):,} of {len(wanted):,} are no {what} of this dataset: "
            f"{', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}; it has {examples}, …"
        )
    chosen = {ids[one].index for one in wanted}
    return tuple(sample for sample in samples if sample.index in chosen)


def _drawn(samples: Sequence[Sample], size: int, seed: int) -> tuple[Sample, ...]:
    """`size` samples in whole image groups but for the last, types mixed as in the whole."""
    by_key: dict[str, list[Sample]] = {}
    for sample in samples:
        by_key.setdefault(sample.cluster_key, []).append(sample)
    groups = list(by_key.values())
    random.Random(seed).shuffle(groups)
    share = {
        kind: count / len(samples)
        for kind, count in Counter(sample.question_type for sample in samples).items()
    }
    waiting, window = deque(groups), list[list[Sample]]()
    have: Counter[str] = Counter()
    chosen: list[Sample] = []
    while len(chosen) < size:
        while waiting and len(window) < _CANDIDATES:
            window.append(waiting.popleft())
        best = min(window, key=lambda group: _distance(have, group, share))
        window.remove(best)
        taken = best[: size - len(chosen)]
        chosen += taken
        have.update(sample.question_type for sample in taken)
    return tuple(sorted(chosen, key=lambda sample: sample.index))


def _distance(have: Counter[str], group: Sequence[Sample], share: Mapping[str, float]) -> float:
    """How far the mixture of types would be from the whole's with that group."""
    then = have + Counter(sample.question_type for sample in group)
    total = sum(then.values())
    return sum((then[kind] / total - part) ** 2 for kind, part in share.items())
