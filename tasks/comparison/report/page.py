"""What the page's template shows, worked out of a Comparison."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pixtrack.tasks.comparison import plots
from pixtrack.tasks.comparison import result_tables as table
from pixtrack.tasks.comparison.report.gallery import Gallery
from pixtrack.tasks.comparison.report.grid import agreement_grid
from pixtrack.tasks.comparison.report.heat_map import FEW_IMAGES, heat_map
from pixtrack.tasks.comparison.report.words import mark, number, sides
from pixtrack.tasks.comparison.result import (
    Comparison,
    DatasetComparison,
    RunRow,
)
from pixtrack.tasks.comparison.statistics import RIGHT
from pixtrack.tasks.comparison.verdict import interval_words, p_words, plural, scope_words, signed

FOLDER = Path(__file__).parent


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
    heat = [heat_map(dataset) for dataset in scored if dataset.breakdowns]
    grids = [
        agreement_grid(comparison, dataset, pair)
        for dataset in scored
        for pair in dataset.differences
    ]
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
    letter, series = mark(run.key)
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
        between = sides(dataset, pair)
        rows.append(
            {
                **between,
                "scope": scope_words(
                    pair.n or pair.answered, pair.images or dataset.images, dataset.cluster
                ),
                "points": signed(pair.difference) if pair.n else "–",
                "interval": interval_words(*pair.ci95) if pair.ci95 else "",
                "p": "–" if pair.p_corrected is None else _p(pair.p_corrected),
                "p_raw": "–" if pair.p is None else _p(pair.p),
                "counts": f"{pair.wins:,} · {pair.ties:,} · {pair.losses:,}",
                "stderr": number(pair.stderr, 2),
                "could_show": "–"
                if pair.detectable_corrected is None
                else f"±{pair.detectable_corrected:.1f}",
                "agreement": "–" if pair.agreement is None else f"{pair.agreement:.1%}",
                "kappa": number(pair.kappa, 2),
                "same": "–" if pair.same_prediction is None else f"{pair.same_prediction:.1%}",
                "differs": pair.differs,
                "svg": plots.interval_svg(
                    axis,
                    pair.difference if pair.n else None,
                    pair.ci95,
                    series=between["series"],
                    label=pair.sentence,
                    zero=True,
                    band=pair.detectable_corrected,
                    solid=pair.outcome in ("better", "worse"),
                ),
            }
        )
    return {"axis": plots.axis_svg(axis, signed=True), "rows": rows}


def _p(p: float) -> str:
    return p_words(p).removeprefix("p ").removeprefix("= ")
