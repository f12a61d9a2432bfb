"""`--dry-run`: what an evaluation or a study would do, without doing it.

Nothing is fetched, prepared, started or written. What cannot be known before it is done says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.comparison import stored_runs
from pixtrack.tasks.datasets import load_prepared
from pixtrack.tasks.datasets.shots import known_shots
from pixtrack.tasks.download import local_files, model_identity
from pixtrack.tasks.environment import Check, check_machine
from pixtrack.tasks.inference.starting import engine_facts, longest_request
from pixtrack.tasks.runs.opening import Cell, identity_of, unanswered_in


@dataclass(frozen=True)
class PlannedCell:
    """One run that would be made or gone on with."""

    model: str
    dataset: str
    prompt: str
    prepared: bool
    """Whether the dataset is prepared; else that is done first."""
    questions: int | None
    """None: unknown before the dataset is prepared."""
    to_ask: int | None
    """Questions without an answer; None: unknown before dataset and model are here."""
    seconds: float | None
    """By the speed of earlier runs of the model here, mostly on this dataset; None without any."""


@dataclass(frozen=True)
class DryRun:
    """What would be done, and what this machine has to say about it."""

    cells: tuple[PlannedCell, ...]
    checks: tuple[Check, ...]
    """Of each model: the disk, its files, and the memory that it needs."""

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "cells": [asdict(cell) for cell in self.cells],
            "checks": [check.model_dump() for check in self.checks],
        }


def dry_run(cells: Sequence[Cell], home: Home, model_dir: Path | None = None) -> DryRun:
    """What evaluating these cells would do.

    Args:
        cells: ordered by model
        home: the data home
        model_dir: overrides where the model's files are
    """
    planned: list[PlannedCell] = []
    checks: list[Check] = []
    for _, of_model in groupby(cells, key=lambda cell: cell.model.name):
        same = list(of_model)
        model = same[0].model
        planned += [_planned(cell, home, model_dir) for cell in same]
        about = ("disk", f"model {model.name}", f"memory for {model.name}")
        checks += [
            check
            for check in check_machine(home, model, model_dir, ask_hub=False)
            if check.name in about or check.status == "failed"
        ]
    return DryRun(tuple(planned), tuple({check.name: check for check in checks}.values()))


def _planned(cell: Cell, home: Home, model_dir: Path | None) -> PlannedCell:
    prepared = load_prepared(cell.dataset, home)
    questions = cell.dataset.questions or None
    if prepared is not None:
        questions = len(cell.samples(prepared))
    elif cell.limit is not None:
        questions = min(cell.limit, questions or cell.limit)
    to_ask = None
    files = local_files(cell.model, home, model_dir)
    if prepared is not None and files is not None:
        shots = known_shots(cell.prompt, prepared, home)
        if shots is not None:
            cell = replace(cell, shots=shots)
            facts = engine_facts(cell.model, files, home)
            longest = longest_request(cell.model, files, home)
            identity = identity_of(
                cell, model_identity(cell.model, files, home), facts, prepared, longest
            )
            to_ask = len(unanswered_in(cell, prepared, identity, home))
    rate = _questions_a_second(cell.model, cell.dataset.name, home)
    asked = questions if to_ask is None else to_ask
    return PlannedCell(
        model=cell.model.name,
        dataset=cell.dataset.name,
        prompt=cell.prompt.name,
        prepared=prepared is not None,
        questions=questions,
        to_ask=to_ask,
        seconds=asked / rate if rate and asked is not None else None,
    )


def _questions_a_second(model: ModelConfig, dataset: str, home: Home) -> float | None:
    """The speed of earlier runs of the model in this data home, if possible on this dataset."""
    runs = [run.record for run in stored_runs(home) if run.record.model == model.name]
    for some in ([one for one in runs if one.dataset == dataset], runs):
        found = _speed(entry for record in some for entry in record.invocations)
        if found:
            return found
    return None


def _speed(invocations: Iterable[dict[str, Any]]) -> float | None:
    entries = [one for one in invocations if one.get("asked") and one.get("seconds")]
    seconds = sum(one["seconds"] for one in entries)
    return sum(one["asked"] for one in entries) / seconds if seconds else None
