"""From what people type (`latest`, a name, an id, `model@dataset`, a path) to run directories."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset
from pixtrack.configs.paths import Home
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord
from pixtrack.tasks.runs.journal import read_answers
from pixtrack.tasks.tracking import interrupted

logger = logging.getLogger(__name__)

FORMS = "a run's name or id (its beginning will do), model@dataset[@prompt], latest, or a path"
_MIN_ID_PREFIX = 6
"""Characters of an id that count as one: shorter ones hit by accident."""


@dataclass(frozen=True)
class StoredRun:
    """A run directory with its record."""

    directory: RunDirectory
    record: RunRecord

    @property
    def last_active(self) -> str:
        """When it was made or last asked questions: UTC, ISO 8601, sorts as text."""
        started = [str(one.get("started", "")) for one in self.record.invocations]
        return max([self.record.created, *started])

    @property
    def scored(self) -> bool:
        """Whether there is a table of scores."""
        return bool(self.directory.scores_file.exists())


def stored_runs(
    home: Home, dataset: str | None = None, *, archived: bool = False
) -> list[StoredRun]:
    """Every run of the data home (of one dataset), the most recently active first.

    Archived ones are left out, unless `archived` asks for them too.

    A damaged record is warned about and left out, so that it does not hide the others.
    """
    found = []
    for file in sorted(home.runs.glob(f"{dataset or '*'}/*/run.json")):
        directory = RunDirectory(file.parent)
        try:
            record = directory.read_record()
        except UserError as error:
            logger.warning("left out: %s", error)
            continue
        if record is not None and (archived or not record.archived):
            found.append(StoredRun(directory, record))
    return sorted(found, key=lambda run: run.last_active, reverse=True)


def resolve_run(reference: str, home: Home, *, scored: bool = False) -> StoredRun:
    """The one run that `reference` names.

    Where several fit a description (model@dataset), completed runs over all questions are
    preferred, then the latest. `scored`: only runs with a table of scores count. Raises UserError
    when nothing fits, or when the beginning of an id fits several.
    """
    at_path = _at_path(reference)
    if at_path is not None:
        return _checked(at_path, scored)
    every = stored_runs(home, archived=True)
    runs = [run for run in every if not run.record.archived]
    if _looks_like_path(reference) and not any(_described(reference, runs)):
        raise UserError(
            f"{reference}: no run directory (it holds no run.json): `pixtrack runs` lists the runs"
        )
    if not every:
        raise UserError(
            f"no runs under {home.runs}: make one with `pixtrack eval`, or set PIXTRACK_HOME"
        )
    usable = [run for run in runs if run.scored] if scored else runs
    exact = [run for run in every if run.record.name == reference]
    if exact:
        return _checked(exact[0], scored)
    if reference == "latest":
        return _first(usable, reference, runs)
    models = {name for run in runs for name in _model_names(run.record)}
    by_id = None if reference.lower() in models else _by_id(reference, every)
    if by_id is not None:
        return _checked(by_id, scored)
    fitting = list(_described(reference, usable))
    if scored and not fitting:
        for unscored in _described(reference, runs):
            _checked(unscored, scored)  # raises, with how far it is
    return _first(fitting, reference, runs)


def resolve_runs(
    references: Sequence[str], home: Home, datasets: Sequence[str] = ()
) -> list[StoredRun]:
    """The scored runs that the references name, in their order, each once.

    A reference that is only a model (`pixtral-12b`) or `model@*[@prompt]` stands for its latest
    run on each of `datasets`, or, where none are named, on every dataset that all such references
    have. Other references name one run each; with `datasets`, one on another dataset is refused.
    """
    wanted = [_dataset_name(name) for name in datasets]
    runs = [run for run in stored_runs(home) if run.scored]
    models = {name for run in runs for name in _model_names(run.record)}
    wide = [ref for ref in references if _is_wide(ref, models)]
    spread: dict[str, dict[str, StoredRun]] = {ref: _per_dataset(ref, runs) for ref in wide}
    if wide and not wanted:
        common = set.intersection(*(set(found) for found in spread.values()))
        if not common:
            _say_what_is_asked(home, wide)
            have = "; ".join(f"{ref}: {', '.join(sorted(spread[ref])) or 'none'}" for ref in wide)
            raise UserError(
                f"no dataset that all of them have a scored run on ({have}): name runs on one dataset"
            )
        wanted = sorted(common)
    chosen: dict[Path, StoredRun] = {}
    for reference in references:
        if reference in spread:
            found = spread[reference]
            for name in wanted:
                if name not in found:
                    _say_what_is_asked(home, [reference], name)
                    raise UserError(
                        f"{reference}: no scored run on {name} "
                        f"(it has: {', '.join(sorted(found)) or 'none'}); run `pixtrack eval` first"
                    )
                chosen[found[name].directory.path] = found[name]
            continue
        run = resolve_run(reference, home, scored=True)
        if wanted and not wide and run.record.dataset not in wanted:
            raise UserError(
                f"{reference}: is a run on {run.record.dataset}, "
                f"and --dataset asks for {', '.join(wanted)}"
            )
        chosen[run.directory.path] = run
    return list(chosen.values())


def resolve_baseline(reference: str, home: Home, runs: Sequence[StoredRun]) -> RunDirectory | str:
    """What `--baseline` means among the runs compared: a `model[@prompt]` of theirs, or a run."""
    model, _, prompt = reference.partition("@")
    for run in runs:
        if model.lower() in _model_names(run.record) and prompt in ("", run.record.prompt):
            return reference
    return resolve_run(reference, home, scored=True).directory


def _say_what_is_asked(home: Home, references: Sequence[str], dataset: str | None = None) -> None:
    """Raises UserError where a run that one of the references names is being asked right now."""
    runs = [run for run in stored_runs(home, dataset) if not run.scored]
    for reference in references:
        for run in _described(reference, runs):
            if run.record.status == "running" and not interrupted(run.directory):
                _checked(run, scored=True)


def _at_path(reference: str) -> StoredRun | None:
    path = Path(reference).expanduser()
    if path.name == "run.json":
        path = path.parent
    if not (path / "run.json").is_file():
        return None
    directory = RunDirectory(path.resolve())
    record = directory.read_record()
    return StoredRun(directory, record) if record is not None else None


def _looks_like_path(reference: str) -> bool:
    """Also `organisation/model`, which an imported run may be called by."""
    return "/" in reference or reference.startswith((".", "~"))


def _checked(run: StoredRun, scored: bool) -> StoredRun:
    if scored and not run.scored:
        raise UserError(f"{run.record.name} on {run.record.dataset}: {_why_unscored(run)}")
    return run


def _why_unscored(run: StoredRun) -> str:
    """How far a run without scores is, and what to do, in one line."""
    record, directory = run.record, run.directory
    asked = sum(1 for _ in directory.requests_file.open("rb")) if _has_requests(directory) else 0
    answers = read_answers(directory.journal_file)
    done = sum(answer.final for answer in answers.values())
    far = f"{done:,} of {asked:,} questions are answered" if asked else f"{done:,} are answered"
    if record.status == "running" and not interrupted(directory):
        return f"is being asked ({far}): it has scores when that has ended"
    status = "interrupted" if record.status == "running" else record.status
    return (
        f"has no scores (status {status}, {far}): run the same `pixtrack eval` again to finish it, "
        "or `pixtrack rescore`"
    )


def _has_requests(directory: RunDirectory) -> bool:
    return bool(directory.requests_file.is_file())


def _first(fitting: list[StoredRun], reference: str, runs: list[StoredRun]) -> StoredRun:
    if fitting:
        return fitting[0]
    if reference == "latest":
        raise UserError("latest: no run has scores yet; finish one with `pixtrack eval`")
    raise _unknown(reference, runs)


def _by_id(reference: str, runs: list[StoredRun]) -> StoredRun | None:
    if len(reference) < _MIN_ID_PREFIX:
        return None
    wanted = reference.lower()
    fitting = [
        run
        for run in runs
        if run.record.name.startswith(reference)
        or run.record.fingerprint.startswith(wanted)
        or (run.record.mlflow_run_id or "").startswith(wanted)
    ]
    if len(fitting) > 1:
        listed = ", ".join(sorted(run.record.name for run in fitting))
        raise UserError(f"{reference}: fits {len(fitting)} runs ({listed}); give more characters")
    return fitting[0] if fitting else None


def _described(reference: str, runs: list[StoredRun]) -> Iterator[StoredRun]:
    """The runs that fit model[@dataset[@prompt]]; `*` or nothing fits all, `latest` any model.

    Completed runs over all questions come first: a later trial on ten questions must not stand in
    for the run that people mean.
    """
    model, _, rest = reference.partition("@")
    dataset, _, prompt = rest.partition("@")
    any_name = ("", "*")
    dataset = dataset if dataset in any_name else _dataset_name(dataset)
    whole_first = sorted(
        runs, key=lambda run: (run.record.status != "completed", run.record.limit is not None)
    )
    for run in whole_first:
        record = run.record
        if (
            (model in (*any_name, "latest") or model.lower() in _model_names(record))
            and (dataset in any_name or record.dataset == dataset)
            and (prompt in any_name or record.prompt == prompt)
        ):
            yield run


def _is_wide(reference: str, models: set[str]) -> bool:
    model, _, rest = reference.partition("@")
    return model.lower() in models and rest.partition("@")[0] in ("", "*")


def _per_dataset(reference: str, runs: list[StoredRun]) -> dict[str, StoredRun]:
    """The latest fitting run of each dataset."""
    found: dict[str, StoredRun] = {}
    for run in _described(reference, runs):
        found.setdefault(run.record.dataset, run)
    return found


def _model_names(record: RunRecord) -> set[str]:
    return {record.model.lower(), record.model_title.lower()} - {""}


def _dataset_name(name: str) -> str:
    """The dataset's key for its alias; a name without a configuration is taken as it is."""
    try:
        return load_dataset(name).name
    except UserError:
        return name


def _unknown(reference: str, runs: list[StoredRun]) -> UserError:
    known = {run.record.name for run in runs}
    known |= {f"{run.record.model}@{run.record.dataset}" for run in runs}
    near = difflib.get_close_matches(reference, sorted(known), n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown run {reference!r}.{hint} Give {FORMS}; `pixtrack runs` lists them")
