"""Whether runs may be compared at all, which with which, and what differs between them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.tasks.comparison.load import LoadedRun
from pixtrack.tasks.runs.selection import scope_words

MISMATCHES = ("prompt", "questions", "metric")
"""What --allow lets through."""
_BESIDE_THE_MODEL = ("model", "dataset")
"""Identity keys that are shown elsewhere."""


def check_allowed(allow: Collection[str]) -> None:
    """Refuses an --allow that does not exist."""
    for name in allow:
        if name not in MISMATCHES:
            raise unknown_name("mismatch to --allow", name, MISMATCHES)


def check_questions(runs: Sequence[LoadedRun], allow: Collection[str]) -> list[str]:
    """Notes on unequal question sets; UserError where they differ and that is not allowed."""
    first, notes = runs[0], []
    for run in runs[1:]:
        pair = f"{first.record.name} and {run.record.name}"
        if run.record.dataset_digest != first.record.dataset_digest:
            reason = (
                f"they were asked different versions of {run.record.dataset} (digests "
                f"{first.record.dataset_digest[:12]} and {run.record.dataset_digest[:12]})"
            )
        elif (run.record.limit, run.record.selection) != (
            first.record.limit,
            first.record.selection,
        ):
            limits = [
                scope_words(one.record.limit, one.record.selection) or "all" for one in (first, run)
            ]
            reason = f"they were asked different questions ({limits[0]}; {limits[1]})"
        else:
            continue
        if "questions" not in allow:
            raise UserError(
                f"cannot compare {pair}: {reason}; --allow questions compares them on the "
                "questions they have in common"
            )
        notes.append(f"{pair}: {reason}; compared on the questions in common.")
    return notes


def check_metric(
    runs: Sequence[LoadedRun], metric: str | None, allow: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Each run's metric column by run name, and notes. `metric` None: the headline metric."""
    columns = {run.record.name: metric or run.record.headline for run in runs}
    for run in runs:
        column = columns[run.record.name]
        if column not in run.scores.columns:
            known = [name for name in run.record.metrics if name in run.scores.columns]
            raise unknown_name(f"metric of {run.record.name}", column, known)
        interval = run.summary.metrics.get(column)
        if interval and interval.n and run.scores[column].isna().all():
            raise UserError(
                f"cannot compare {run.record.name} by {column}: it is one number for the whole run, "
                "without scores of questions; name another metric with --metric"
            )
    first, notes = runs[0], []
    for run in runs[1:]:
        one, other = columns[first.record.name], columns[run.record.name]
        versions = [r.summary.metric_versions.get(columns[r.record.name]) for r in (first, run)]
        if one != other:
            reason = f"their headline metrics differ ({one} and {other})"
            remedy = "name one with --metric, or --allow metric"
        elif None not in versions and versions[0] != versions[1]:
            reason = f"they were scored by versions {versions[0]} and {versions[1]} of {one}"
            remedy = "score both again with `pixtrack rescore`, or --allow metric"
        else:
            continue
        pair = f"{first.record.name} and {run.record.name}"
        if "metric" not in allow:
            raise UserError(f"cannot compare {pair}: {reason}; {remedy}")
        notes.append(f"{pair}: {reason}.")
    return columns, notes


def same_prompt(first: LoadedRun, second: LoadedRun) -> bool:
    """Whether both were asked in the same words, with the same limits and post-processing."""
    return first.prompt_policy() == second.prompt_policy()


def opponents(
    runs: Sequence[LoadedRun], baseline: LoadedRun, allow: Collection[str]
) -> dict[str, LoadedRun]:
    """The run that each run (by name) but the baseline is compared with.

    Only one thing may change between the two: the model under one prompt, or the prompt of one
    model. So a run that differs from the baseline in both is compared with the baseline's model
    under its own prompt, where that was run; else it is refused, unless a prompt mismatch is
    allowed.
    """
    chosen: dict[str, LoadedRun] = {}
    for run in runs:
        if run.record.name == baseline.record.name:
            continue
        if same_prompt(run, baseline) or run.record.model == baseline.record.model:
            chosen[run.record.name] = baseline
            continue
        fair = [
            other
            for other in runs
            if other.record.model == baseline.record.model and same_prompt(other, run)
        ]
        if fair:
            chosen[run.record.name] = fair[0]
        elif "prompt" in allow:
            chosen[run.record.name] = baseline
        else:
            ours, theirs = run.prompt_policy(), baseline.prompt_policy()
            what = ", ".join(sorted(k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k)))
            raise UserError(
                f"cannot compare {run.record.name} with {baseline.record.name}: both the model "
                f"and the prompt policy differ ({what}), so neither could be credited; run both "
                "with one prompt, or --allow prompt"
            )
    return chosen


def differences_between(run: LoadedRun, other: LoadedRun) -> tuple[str, ...]:
    """What differs between two identities beside model and questions: `key: theirs → ours`."""
    left = {**_flat(other.record.identity), **_flat({"postprocess": other.postprocess})}
    right = {**_flat(run.record.identity), **_flat({"postprocess": run.postprocess})}
    return tuple(
        f"{key}: {_short(left.get(key))} → {_short(right.get(key))}"
        for key in sorted({*left, *right})
        if left.get(key) != right.get(key) and key.partition(".")[0] not in _BESIDE_THE_MODEL
    )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat.update(_flat(item, f"{prefix}.{key}" if prefix else str(key)))
    return flat


def _short(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
