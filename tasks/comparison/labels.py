"""Labels of runs for tables and plots: the shortest form in which no two are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from pixtrack.tasks.comparison.load import LoadedRun

_FORMS: tuple[Callable[[LoadedRun], str], ...] = (
    lambda run: run.title,
    lambda run: f"{run.title} · {run.record.prompt}",
    lambda run: f"{run.title} · {run.record.prompt} · {run.record.fingerprint[:6]}",
    lambda run: run.record.name,
)
_PROMPT_ONLY: tuple[Callable[[LoadedRun], str], ...] = (lambda run: f"prompt {run.record.prompt}",)


def labels_of(runs: Sequence[LoadedRun]) -> dict[str, str]:
    """Run name to label: the model's title; with the prompt, then with the first characters of
    the fingerprint, where two runs on one dataset would be called the same.

    One model's runs are all labelled in the same form, on every dataset. Where there is one model
    only, its name says nothing: the prompts stand alone.
    """
    if one_model(runs) and _form(runs, _PROMPT_ONLY) is _PROMPT_ONLY[0]:
        return {run.record.name: _PROMPT_ONLY[0](run) for run in runs}
    by_title: dict[str, list[LoadedRun]] = {}
    for run in runs:
        by_title.setdefault(run.title, []).append(run)
    return {
        run.record.name: form(run)
        for same in by_title.values()
        for form in [_form(same)]
        for run in same
    }


def one_model(runs: Sequence[LoadedRun]) -> str:
    """The model's title where all runs are of one model; else ""."""
    titles = {run.title for run in runs}
    return titles.pop() if len(titles) == 1 else ""


def _form(
    runs: Sequence[LoadedRun], forms: Sequence[Callable[[LoadedRun], str]] = _FORMS
) -> Callable[[LoadedRun], str]:
    for form in forms:
        counts = Counter((run.record.dataset, form(run)) for run in runs)
        if max(counts.values()) == 1:
            return form
    return _FORMS[-1]
