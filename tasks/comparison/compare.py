"""Several runs to one verdict: the leaderboard, the paired tests, the breakdowns.

Works from run directories alone. How a failed question enters is a declared policy: by default it
is dropped from every pair of which one failed on it (`drop`), as the runs' own scores leave it
out; `zero` scores it 0. The count is shown either way, and so is what the other policy would say.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from pixtrack.configs.errors import UserError
from pixtrack.tasks.comparison import statistics
from pixtrack.tasks.comparison.align import Aligned, Scores, align, effective_scores, failed_rows
from pixtrack.tasks.comparison.baseline import Baseline, baselines
from pixtrack.tasks.comparison.cautions import cautions, few_clusters
from pixtrack.tasks.comparison.compatibility import (
    check_allowed,
    check_metric,
    check_questions,
    differences_between,
    opponents,
)
from pixtrack.tasks.comparison.group_differences import breakdowns
from pixtrack.tasks.comparison.labels import labels_of, one_model
from pixtrack.tasks.comparison.load import LoadedRun, load_run
from pixtrack.tasks.comparison.result import (
    Comparison,
    DatasetComparison,
    Difference,
    FailedPolicy,
    Questions,
)
from pixtrack.tasks.comparison.standings import (
    dataset_config,
    dataset_title,
    metric_title,
    published_scores,
    run_row,
)
from pixtrack.tasks.comparison.verdict import outcome_of, overall, sentence
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.scoring.uncertainty import clustered_mean

Progress = Callable[[str], None]


def compare(
    runs: Sequence[RunDirectory],
    baseline: RunDirectory | str | None = None,
    *,
    metric: str | None = None,
    failed: FailedPolicy = "drop",
    allow: Collection[str] = (),
    name: str = "",
    title: str = "",
    progress: Progress = lambda _: None,
) -> Comparison:
    """Compares scored runs, dataset by dataset.

    `baseline`: a run, or `model[@prompt]`; on each dataset the run of that model (and, where there
    are several, that prompt). None: the first run. A dataset on which the baseline has no run is
    compared with its first run, and says so. `metric`: a metric that all runs have; None:
    the headline. `allow`: mismatches let through (prompt, questions, metric). Raises UserError,
    with the reason, for runs that cannot be compared.
    """
    check_allowed(allow)
    loaded = _loaded(runs, baseline)
    labels = labels_of(loaded)
    by_dataset: dict[str, list[LoadedRun]] = {}
    for run in loaded:
        by_dataset.setdefault(run.record.dataset, []).append(run)
    if all(len(members) < 2 for members in by_dataset.values()):
        have = ", ".join(f"{labels[run.record.name]} on {run.record.dataset}" for run in loaded)
        raise UserError(f"no two runs on one dataset, so nothing to compare ({have}); name another")
    bases = baselines(by_dataset, baseline, labels)
    # A contestant keeps its key, so its letter and colour, on every dataset.
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels.values()))}
    keys = {name: f"r{numbers[label]}" for name, label in labels.items()}
    drafts = []
    for dataset, members in by_dataset.items():
        progress(f"comparing {len(members)} runs on {dataset}")
        drafts.append(_Draft(members, bases[dataset], keys, metric, failed, allow))
    adjusted = statistics.holm([pair.p for draft in drafts for pair in draft.pairs])
    family = sum(p is not None for p in adjusted)
    datasets, questions = [], {}
    for draft in drafts:
        share, adjusted = adjusted[: len(draft.pairs)], adjusted[len(draft.pairs) :]
        done = draft.finish(share, family, labels)
        datasets.append(done)
        questions[done.dataset] = draft.questions()
    comparison = Comparison(
        name=name or _name(loaded, drafts[0].baseline.record.name, metric or "", failed),
        title=title or one_model(loaded),
        verdict=overall(datasets),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        comparisons=family,
        failed_policy=failed,
        allowed=tuple(sorted(allow)),
        datasets=tuple(datasets),
    )
    comparison._questions.update(questions)
    return comparison


class _Pair:
    """The statistics of one run against another, before the correction over all pairs."""

    def __init__(self, run: LoadedRun, against: LoadedRun, draft: _Draft) -> None:
        self.run, self.against = run, against
        names = run.record.name, against.record.name
        ours, theirs = (draft.scores[name] for name in names)
        known = ~np.isnan(ours) & ~np.isnan(theirs)
        self.values = np.where(known, ours - theirs, np.nan)
        self.known = known
        self.images = draft.aligned.images[known]
        self.mean = clustered_mean(self.values[known], self.images)
        self.p = statistics.sign_flip_p(self.values[known], self.images)
        self.counts = statistics.win_tie_loss(self.values[known])
        self.agreement = statistics.agreement(ours[known], theirs[known])
        texts = [draft.aligned.runs[name]["prediction"].fillna("").astype(str) for name in names]
        alike = [" ".join(a.casefold().split()) == " ".join(b.casefold().split())
                 for a, b in zip(*texts, strict=True)]  # fmt: skip
        failed = [failed_rows(draft.aligned.runs[name]) for name in names]
        answered = ~failed[0] & ~failed[1]
        self.answered = int(answered.sum())
        self.scored = draft.scored
        compared = known if self.scored else answered
        self.same_prediction = float(np.mean(np.array(alike)[compared])) if compared.any() else None
        self.other_policy: float | None = None
        if np.any(failed[0] | failed[1]):
            other = draft.other_policy_scores
            shift = other[names[0]] - other[names[1]]
            known_there = ~np.isnan(shift)
            self.other_policy = (
                float(100 * shift[known_there].mean()) if known_there.any() else None
            )


class _Draft:
    """One dataset's comparison up to the correction, which needs every dataset's p-values."""

    def __init__(
        self,
        runs: Sequence[LoadedRun],
        base: Baseline,
        keys: dict[str, str],
        metric: str | None,
        failed: FailedPolicy,
        allow: Collection[str],
    ) -> None:
        baseline = base.run
        self.runs, self.baseline = runs, baseline
        self.dataset = baseline.record.dataset
        notes = check_questions(runs, allow)
        self.columns, metric_notes = check_metric(runs, metric, allow)
        self.against = opponents(runs, baseline, allow)
        self.aligned: Aligned = align(runs)
        other: FailedPolicy = "zero" if failed == "drop" else "drop"
        self.scores: Scores = effective_scores(self.aligned, self.columns, failed)
        self.other_policy_scores: Scores = effective_scores(self.aligned, self.columns, other)
        self.scored = any(len(golds) for golds in self.aligned.questions["answers"])
        config = dataset_config(self.dataset, runs)
        self.cluster = config.cluster if config else "image"
        self.keys = keys
        self.pairs = [
            _Pair(run, self.against[run.record.name], self)
            for run in runs
            if run.record.name in self.against
        ]
        self.notes = (*base.notes, *notes, *metric_notes, *self.aligned.notes)

    def finish(
        self, p_corrected: Sequence[float | None], family: int, labels: dict[str, str]
    ) -> DatasetComparison:
        """The result, once the corrected p-values are known."""
        images: NDArray[np.intp] = self.aligned.images
        rows = [
            run_row(
                run,
                self.keys[run.record.name],
                labels[run.record.name],
                self.aligned.runs[run.record.name],
                self.scores[run.record.name],
                images,
            )
            for run in self.runs
        ]
        rows.sort(key=lambda row: -(row.score.value if row.score.value is not None else -1.0))
        values = {self.keys[pair.run.record.name]: pair.values for pair in self.pairs}
        scores = {self.keys[name]: column for name, column in self.scores.items()}
        metric = self.columns[self.baseline.record.name]
        return DatasetComparison(
            dataset=self.dataset,
            title=dataset_title(self.baseline),
            metric=metric,
            metric_title=metric_title(metric),
            baseline=self.keys[self.baseline.record.name],
            questions=len(self.aligned.questions),
            images=self.aligned.n_images,
            cluster=self.cluster,
            runs=tuple(rows),
            differences=tuple(
                self._difference(pair, p, family, labels)
                for pair, p in zip(self.pairs, p_corrected, strict=True)
            ),
            breakdowns=breakdowns(self.aligned.questions, images, scores, values),
            published=published_scores(self.dataset, self.runs),
            notes=(
                *self.notes,
                *few_clusters(self.aligned.n_images, self.cluster),
                *cautions(self.runs, labels),
            ),
        )

    def _difference(
        self, pair: _Pair, p_corrected: float | None, family: int, labels: dict[str, str]
    ) -> Difference:
        mean, counts, agreement = pair.mean, pair.counts, pair.agreement
        error = mean.stderr
        points = 100 * mean.mean if mean.n else 0.0
        draft = Difference(
            run=self.keys[pair.run.record.name],
            against=self.keys[pair.against.record.name],
            difference=points,
            stderr=None if error is None else 100 * error,
            ci95=None
            if mean.low is None or mean.high is None
            else (100 * mean.low, 100 * mean.high),
            p=pair.p,
            p_corrected=p_corrected,
            n=mean.n,
            images=mean.clusters,
            left_out=len(pair.known) - mean.n,
            failed_scored_zero=pair.other_policy,
            wins=counts.wins,
            ties=counts.ties,
            losses=counts.losses,
            detectable=_points(statistics.minimal_detectable(error, mean.clusters)),
            detectable_corrected=_points(
                statistics.minimal_detectable(error, mean.clusters, max(family, 1))
            ),
            both_right=agreement.both_right,
            run_only_right=agreement.first_only,
            against_only_right=agreement.second_only,
            both_wrong=agreement.both_wrong,
            agreement=agreement.agreement,
            kappa=agreement.kappa,
            same_prediction=pair.same_prediction,
            answered=pair.answered,
            differs=differences_between(pair.run, pair.against),
            outcome=outcome_of(points, p_corrected, counts.wins + counts.losses, pair.scored),
            sentence="",
        )
        names = labels[pair.run.record.name], labels[pair.against.record.name]
        words = sentence(draft, *names, self.dataset, family, self.cluster)
        return draft.model_copy(update={"sentence": words})

    def questions(self) -> Questions:
        """The common questions with every run's answers and the compared score."""
        columns = ["output", "prediction", "finish_reason", "error"]
        return Questions(
            table=self.aligned.questions,
            answers={
                self.keys[name]: table[columns].assign(score=self.scores[name])
                for name, table in self.aligned.runs.items()
            },
        )


def _points(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _loaded(runs: Sequence[RunDirectory], baseline: RunDirectory | str | None) -> list[LoadedRun]:
    wanted = list(runs)
    if isinstance(baseline, RunDirectory):
        wanted = [baseline, *wanted]
    loaded: dict[str, LoadedRun] = {}
    for directory in wanted:
        run = load_run(directory)
        loaded.setdefault(f"{run.record.dataset}/{run.record.name}", run)
    if not loaded:
        raise UserError("nothing to compare: name at least two runs")
    seen: dict[tuple[str, str], LoadedRun] = {}
    for run in loaded.values():
        key = run.record.dataset, run.record.fingerprint
        if key in seen and (seen[key].record.limit, seen[key].record.selection) == (
            run.record.limit,
            run.record.selection,
        ):
            raise UserError(
                f"{seen[key].record.name} and {run.record.name} are the same run: one fingerprint"
            )
        seen[key] = run
    return list(loaded.values())


def _name(loaded: Sequence[LoadedRun], *choices: str) -> str:
    """A folder name that the same comparison always gets: datasets, contestants, a digest."""
    datasets = sorted({run.record.dataset for run in loaded})
    models = sorted({run.record.model for run in loaded})
    where = datasets[0] if len(datasets) == 1 else f"{len(datasets)}-datasets"
    who = "-vs-".join(models) if len(models) <= 3 else f"{len(models)}-models"
    who += f"-{len(loaded)}-runs" if len(models) == 1 else ""
    identity = [*sorted(run.record.name for run in loaded), *choices]
    digest = hashlib.sha256(" ".join(identity).encode()).hexdigest()[:8]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{where}--{who}--{digest}")
