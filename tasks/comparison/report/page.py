"""What the page's template shows, worked out of a Comparison."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pixtrack.tasks.comparison import plots
from pixtrack.tasks.comparison import result_tables as table
from pixtrack.tasks.comparison.report.gallery import Gallery
from pixtrack.tasks.comparison.result import (
    Comparison,
    DatasetComparison,
    Difference,
    GroupRow,
    PairedInterval,
    RunRow,
)
from pixtrack.tasks.comparison.statistics import RIGHT
from pixtrack.tasks.comparison.verdict import interval_words, p_words, plural, scope_words, signed

FOLDER = Path(__file__).parent
FEW_IMAGES = 15
"""Below so many images an interval says little, and the heat map does not colour the cell."""
_BINS = (
    (0.0, 1e-9, "0"),
    (1e-9, RIGHT, "under 50"),
    (RIGHT, 1 - 1e-9, "50 to 99"),
    (1 - 1e-9, 2, "100"),
)


def render(comparison: Comparison, gallery: Gallery) -> str:
    """The page: one HTML file with its style, script, data and images in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
    )
    # Marked safe: our own files, and JSON in which script_json escaped every < > and &.
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    context = {
        **_context(comparison),
        "css": Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "gallery": Gallery(
            Markup(gallery.data),
            tuple(Markup(part) for part in gallery.images),
            gallery.questions,
            gallery.questions_of,
            gallery.with_image,
            gallery.images_held,
        ),
        "gallery_words": gallery_words(gallery),
    }
    return environment.get_template("page.html").render(context)


def gallery_words(gallery: Gallery) -> str:
    """What the page holds, and what it leaves out."""
    words = f"{gallery.questions:,} questions"
    if gallery.questions < gallery.questions_of:
        words = (
            f"{gallery.questions:,} of {gallery.questions_of:,} questions: to keep the page small, "
            "those on which the runs differ come first"
        )
    if gallery.with_image == gallery.questions:
        return f"{words}, all with a reduced copy of their image."
    return (
        f"{words}. {gallery.with_image:,} of them ({gallery.images_held:,} images) have a reduced "
        "copy of their image here, disagreements first; the others name its file."
    )


def _context(comparison: Comparison) -> dict[str, Any]:
    datasets = comparison.datasets
    forest = _forest(comparison)
    scored = [dataset for dataset in datasets if any(run.score.n for run in dataset.runs)]
    heat = [_heat(dataset) for dataset in scored if dataset.breakdowns]
    grids = [_grid(comparison, dataset, pair) for dataset in scored for pair in dataset.differences]
    sections = [("scores", "Scores")]
    if forest["rows"]:
        sections.append(("differences", "Differences"))
    if grids:
        sections.append(("agreement", "Question by question"))
    if heat:
        sections.append(("breakdowns", "Where"))
    sections += [
        ("questions", "Questions"),
        ("cost", "Speed and cost"),
        ("method", "How this was made"),
    ]
    n = comparison.comparisons
    return {
        "c": comparison,
        "sections": sections,
        "sentences": [
            {"text": pair.sentence, "outcome": pair.outcome}
            for dataset in datasets
            for pair in dataset.differences
        ],
        "notes": [
            f"{dataset.dataset}: {note}" if len(datasets) > 1 else note
            for dataset in datasets
            for note in dataset.notes
        ],
        "views": [_view(dataset) for dataset in datasets],
        "forest": forest,
        "left_out": [
            text
            for dataset in datasets
            for pair in dataset.differences
            if (text := table.left_out_words(pair, dataset, comparison.failed_policy))
        ],
        "grids": grids,
        "heat": heat,
        "few": f"{FEW_IMAGES} {plural(table.clusters_words(comparison))}",
        "clusters": table.clusters_words(comparison),
        "holm_words": f"corrected for {n} comparisons (Holm)" if n > 1 else "at a level of 5%",
        "method": table.method(comparison),
        "right": f"{100 * RIGHT:g}",
    }


def _mark(key: str) -> tuple[str, int]:
    """A run's letter and colour: the same everywhere on the page."""
    number = int(key[1:])
    return chr(ord("A") + number % 26), number % plots.SERIES


def _view(dataset: DatasetComparison) -> dict[str, Any]:
    values = [value for run in dataset.runs for value in (run.score.value, *(run.score.ci95 or ()))]
    axis = plots.axis_over([*values, *(p.value for p in dataset.published)], limit=True)
    return {
        "name": dataset.dataset,
        "title": dataset.title,
        "metric": dataset.metric_title,
        "scope": scope_words(dataset.questions, dataset.images, dataset.cluster),
        "axis": plots.axis_svg(axis),
        "rows": [_score_row(run, dataset, axis) for run in dataset.runs],
        "published": [
            {
                "model": p.model,
                "by": p.by,
                "metric": p.metric,
                "note": p.note,
                "score": f"{p.value:.1f}",
                "svg": plots.interval_svg(
                    axis, p.value, None, series=None, label=f"{p.model}: {p.value:.1f}, published"
                ),
            }
            for p in dataset.published
        ],
    }


def _score_row(run: RunRow, dataset: DatasetComparison, axis: plots.Axis) -> dict[str, Any]:
    letter, series = _mark(run.key)
    rate, cost = table.speed_words(run)
    speed = run.speed
    return {
        "letter": letter,
        "series": series,
        "label": run.label,
        "baseline": run.key == dataset.baseline and len(dataset.runs) > 1,
        "score": "–" if run.score.value is None else f"{run.score.value:.1f}",
        "interval": interval_words(*run.score.ci95) if run.score.ci95 else "",
        "svg": plots.interval_svg(
            axis,
            run.score.value,
            run.score.ci95,
            series=series,
            label=f"{run.label}: {table.score_words(run.score)}",
        ),
        "failed": f"{run.failed:,}",
        "truncated": f"{run.truncated:,}",
        "beside": run.beside,
        "rate": rate,
        "cost": cost,
        "tokens": "–"
        if speed.output_tokens_per_question is None
        else f"{speed.output_tokens_per_question:.1f}",
        "cached": "–" if speed.cached_share is None else f"{speed.cached_share:.0%}",
        "engine": run.engine or "–",
        "prompt": run.prompt,
        "name": run.name,
        "created": run.created[:16].replace("T", " "),
    }


def _sides(dataset: DatasetComparison, pair: Difference) -> dict[str, Any]:
    letter, series = _mark(pair.run)
    against_letter, against_series = _mark(pair.against)
    return {
        "dataset": dataset.dataset,
        "run": dataset.row(pair.run).label,
        "letter": letter,
        "series": series,
        "against": dataset.row(pair.against).label,
        "against_letter": against_letter,
        "against_series": against_series,
    }


def _forest(comparison: Comparison) -> dict[str, Any]:
    pairs = [(dataset, pair) for dataset in comparison.datasets for pair in dataset.differences]
    values: list[float | None] = [
        value for _, pair in pairs for value in (pair.difference, *(pair.ci95 or ()))
    ]
    for _, pair in pairs:
        band = pair.detectable_corrected
        values += [band, -band] if band is not None else []
    axis = plots.axis_over(values, zero=True)
    rows = []
    for dataset, pair in pairs:
        sides = _sides(dataset, pair)
        rows.append(
            {
                **sides,
                "scope": scope_words(
                    pair.n or pair.answered, pair.images or dataset.images, dataset.cluster
                ),
                "points": signed(pair.difference) if pair.n else "–",
                "interval": interval_words(*pair.ci95) if pair.ci95 else "",
                "p": "–" if pair.p_corrected is None else _p(pair.p_corrected),
                "p_raw": "–" if pair.p is None else _p(pair.p),
                "counts": f"{pair.wins:,} · {pair.ties:,} · {pair.losses:,}",
                "stderr": _number(pair.stderr, 2),
                "could_show": "–"
                if pair.detectable_corrected is None
                else f"±{pair.detectable_corrected:.1f}",
                "agreement": "–" if pair.agreement is None else f"{pair.agreement:.1%}",
                "kappa": _number(pair.kappa, 2),
                "same": "–" if pair.same_prediction is None else f"{pair.same_prediction:.1%}",
                "differs": pair.differs,
                "svg": plots.interval_svg(
                    axis,
                    pair.difference if pair.n else None,
                    pair.ci95,
                    series=sides["series"],
                    label=pair.sentence,
                    zero=True,
                    band=pair.detectable_corrected,
                    solid=pair.outcome in ("better", "worse"),
                ),
            }
        )
    return {"axis": plots.axis_svg(axis, signed=True), "rows": rows}


def _grid(comparison: Comparison, dataset: DatasetComparison, pair: Difference) -> dict[str, Any]:
    """The counts of questions by both runs' scores: right and wrong, or four grades."""
    answers = comparison.questions(dataset.dataset).answers
    ours = answers[pair.run]["score"].to_numpy(float)
    theirs = answers[pair.against]["score"].to_numpy(float)
    known = ~np.isnan(ours) & ~np.isnan(theirs)
    ours, theirs = ours[known], theirs[known]
    used = np.concatenate([ours, theirs])
    bins = [one for one in _BINS if one[2] in ("0", "100") or _within(used, one).any()]
    binary = len(bins) == 2
    names = {"0": "wrong", "100": "right"} if binary else {}
    counts = np.array(
        [[int((_within(ours, a) & _within(theirs, b)).sum()) for b in bins] for a in bins]
    )
    sides = _sides(dataset, pair)
    off_diagonal = counts.copy()
    np.fill_diagonal(off_diagonal, 0)
    most, most_apart = max(int(counts.max(initial=0)), 1), max(int(off_diagonal.max(initial=0)), 1)
    rows = []
    for i, one in enumerate(bins):
        cells = []
        for j, other in enumerate(bins):
            count = int(counts[i, j])
            name_one, name_other = names.get(one[2], one[2]), names.get(other[2], other[2])
            cells.append(
                {
                    "count": count,
                    "text": f"{count:,}",
                    "share": round(count / (most if i == j else most_apart), 3) if count else 0,
                    "side": "same" if i == j else "run" if i > j else "against",
                    "run_range": f"{one[0]:g} {one[1]:.10g}",
                    "against_range": f"{other[0]:g} {other[1]:.10g}",
                    "label": f"{count:,} questions: {sides['run']} {name_one}, "
                    f"{sides['against']} {name_other}; show them",
                }
            )
        rows.append({"name": names.get(one[2], one[2]), "cells": cells})
    note = "" if pair.agreement is None else f"Right and wrong agree on {pair.agreement:.1%}"
    if pair.kappa is not None:
        note += f" (kappa {pair.kappa:.2f})"
    if pair.same_prediction is not None:
        note += f"; the same text on {pair.same_prediction:.1%}."
    title = f"{sides['run']} and {sides['against']}"
    if len(comparison.datasets) > 1:
        title += f" on {dataset.dataset}"
    return {
        **sides,
        "title": title,
        "note": note,
        "run_key": pair.run,
        "against_key": pair.against,
        "columns": [names.get(one[2], one[2]) for one in bins],
        "cells": rows,
    }


def _within(scores: NDArray[np.float64], one: tuple[float, float, str]) -> NDArray[np.bool_]:
    return (scores >= one[0]) & (scores < one[1])


def _heat(dataset: DatasetComparison) -> dict[str, Any]:
    groups = [group for breakdown in dataset.breakdowns for group in breakdown.groups]
    scores = [
        interval.value
        for group in groups
        for interval in group.scores.values()
        if interval.value is not None
    ]
    low, high = min(scores, default=0.0), max(scores, default=100.0)
    widest = max(
        (
            abs(d.value)
            for group in groups
            for d in group.differences.values()
            if d.value and not _few(group)
        ),
        default=1.0,
    )
    runs = sorted(dataset.runs, key=lambda run: int(run.key[1:]))
    return {
        "title": dataset.title,
        "property": "Group",
        "runs": [
            dict(zip(("letter", "series"), _mark(run.key), strict=True), label=run.label)
            for run in runs
        ],
        "pairs": [_sides(dataset, pair) for pair in dataset.differences],
        "parts": [
            {
                "title": table.BREAKDOWN_TITLES.get(breakdown.name, breakdown.name),
                "groups": [
                    {
                        "name": group.group,
                        "n": f"{group.n:,}",
                        "few": _few(group),
                        "scores": [
                            {
                                "text": _number(group.scores[run.key].value, 1),
                                "share": plots.sequential(group.scores[run.key].value, low, high)
                                or 0,
                                "title": f"{run.label}, {group.group}: "
                                f"{table.score_words(group.scores[run.key])}, {_scope(group, dataset.cluster)}",
                            }
                            for run in runs
                        ],
                        "differences": [
                            _difference_cell(
                                group.differences[pair.run], group, widest, dataset.cluster
                            )
                            for pair in dataset.differences
                        ],
                    }
                    for group in breakdown.groups
                ],
            }
            for breakdown in dataset.breakdowns
        ],
    }


def _difference_cell(
    one: PairedInterval, group: GroupRow, widest: float, cluster: str
) -> dict[str, Any]:
    clear = one.ci95 is not None and (one.ci95[0] > 0 or one.ci95[1] < 0) and not _few(group)
    side = "" if not clear or one.value is None else "plus" if one.value > 0 else "down"
    return {
        "text": "–" if one.value is None else signed(one.value),
        "interval": interval_words(*one.ci95) if one.ci95 else "",
        "side": side,
        "share": round(min(1.0, abs(one.value or 0) / widest), 3),
        "title": _scope(group, cluster)
        + ("" if one.ci95 else f"; too few {plural(cluster)} for an interval"),
    }


def _few(group: GroupRow) -> bool:
    return group.images < FEW_IMAGES


def _scope(group: GroupRow, cluster: str) -> str:
    return scope_words(group.n, group.images, cluster)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def _p(p: float) -> str:
    return p_words(p).removeprefix("p ").removeprefix("= ")
