"""Which run the others are compared with, on each dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pixtrack.configs.errors import unknown_name
from pixtrack.tasks.comparison.load import LoadedRun
from pixtrack.tasks.runs.directory import RunDirectory


@dataclass(frozen=True)
class Baseline:
    """The run of one dataset that the others are compared with."""

    run: LoadedRun
    notes: tuple[str, ...] = ()


def baselines(
    by_dataset: Mapping[str, Sequence[LoadedRun]],
    wanted: RunDirectory | str | None,
    labels: Mapping[str, str],
) -> dict[str, Baseline]:
    """Each dataset's baseline. `wanted`: a run, `model[@prompt]`, or None for the first run.

    A run stands, on other datasets, for its model and, where there are several, its prompt. Raises
    UserError where no dataset has it.
    """
    runs = [run for members in by_dataset.values() for run in members]
    if isinstance(wanted, str) and wanted:
        model, _, prompt = wanted.partition("@")
        path = None
    else:
        path = wanted.path if isinstance(wanted, RunDirectory) else runs[0].directory.path
        record = next(run.record for run in runs if run.directory.path == path)
        model, prompt = record.model, record.prompt
    chosen = {}
    for dataset, members in by_dataset.items():
        fitting = [run for run in members if _is(run, model)]
        exact = [run for run in fitting if run.directory.path == path]
        same_prompt = [run for run in fitting if run.record.prompt == prompt]
        best = [*exact, *same_prompt, *fitting]
        if best:
            chosen[dataset] = Baseline(best[0])
        else:
            instead = labels[members[0].record.name]
            note = f"the baseline {model} has no run on {dataset}; compared with {instead}."
            chosen[dataset] = Baseline(members[0], (note,))
    if not any(_is(run, model) for run in runs):
        raise unknown_name("baseline", model, {run.record.model for run in runs})
    return chosen


def _is(run: LoadedRun, model: str) -> bool:
    return model.lower() in (run.record.model.lower(), run.title.lower())
