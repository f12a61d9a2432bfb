"""Shows a finished run: as artifacts of the Prefect flow run, and as a table on the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from pixtrack.flows.narration import score_words
from pixtrack.flows.terminal import DataConsole
from pixtrack.tasks.prefecting import reports
from pixtrack.tasks.runs.asked import AskedRun
from pixtrack.tasks.runs.directory import Interval, RunDirectory, RunSummary
from pixtrack.tasks.runs.opening import OpenRun
from pixtrack.tasks.scoring.beside import lines_beside
from pixtrack.tasks.tracking import links
from pixtrack.tasks.tracking.recorder import Recorder


def publish(run: OpenRun, summary: RunSummary | None, asked: AskedRun, recorder: Recorder) -> None:
    """Shows the outcome as one artifact of the Prefect flow run: score, tables and links."""
    if summary is None:
        return
    key = reports.artifact_key(run.cell.dataset.name)
    title = f"{summary.model} on {summary.dataset}"
    text = summary_markdown(summary, asked, recorder.links(run.directory))
    reports.markdown(text, key=f"summary-{key}", description=title)


def summary_markdown(summary: RunSummary, asked: AskedRun, links: Mapping[str, str]) -> str:
    """A finished run as Markdown: the headline score first, then what it rests on.

    Args:
        summary: the run's outcome
        asked: what this flow run asked of it
        links: web addresses of the run's entry at the tracker, by name
    """
    score = score_words(summary.metrics.get(summary.headline))
    lines = [
        f"# {_as_text(summary.headline)} {score}",
        f"**{_as_text(summary.model)}** on **{_as_text(summary.dataset)}**, prompt "
        f"{_as_text(summary.prompt)}: {_as_text(_caption(summary))}. "
        f"{asked.asked:,} questions were asked by this flow run.",
    ]
    if summary.message:
        lines.append(f"**{_as_text(summary.message)}**")
    if links:
        shown = " · ".join(f"[{name}]({link})" for name, link in links.items())
        lines.append(f"In MLflow (`pixtrack ui` opens it): {shown}")
    lines.append(_metric_table("metric", summary.metrics))
    kinds = summary.by.get("question_type", {})
    if kinds:
        of_kinds = {kind: metrics[summary.headline] for kind, metrics in kinds.items()}
        lines.append(_metric_table(f"{summary.headline} by question type", of_kinds))
    lines += [f"- {_as_text(line)}" for line in lines_beside(summary.states, summary.figures)]
    lines.append(f"Answers: `{summary.run_dir}/answers.jsonl`")
    return "\n\n".join(lines)


def _metric_table(title: str, metrics: Mapping[str, Interval]) -> str:
    rows = [
        f"| {_as_text(name)} | {_number(one.value)} | {_interval(one)} | {one.n:,} |"
        for name, one in metrics.items()
    ]
    head = [f"| {_as_text(title)} | score | 95% interval | n |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _as_text(text: str) -> str:
    """The text for Markdown, in which nothing of it is markup."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", " ".join(text.split())).replace("&", "&amp;")


def print_summary(summary: RunSummary, console: DataConsole) -> None:
    """The table of scores that a command ends with."""
    table = Table(
        title=f"{summary.model} on {summary.dataset} · prompt {summary.prompt} · "
        f"headline {summary.headline}",
        title_justify="left",
        caption=_caption(summary),
        caption_justify="left",
    )
    table.add_column("metric", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("95% CI", justify="right")
    table.add_column("± clustered", justify="right")
    table.add_column("± naive", justify="right")
    table.add_column("n", justify="right")
    for name, metric in summary.metrics.items():
        bold = "bold" if name == summary.headline else ""
        table.add_row(name, *_cells(metric), style=bold)
    kinds = summary.by.get("question_type", {})
    if kinds:
        table.add_section()
    for kind, metrics in kinds.items():
        table.add_row(f"  {kind}", *_cells(metrics[summary.headline]))
    console.print(table)
    for line in lines_beside(summary.states, summary.figures):
        console.print(line, highlight=False)
    if summary.without_gold:
        console.print(
            f"{summary.without_gold:,} answers have no score: their golds are not published. Compare "
            "them with another run's (pixtrack compare), or write the competition's file (pixtrack "
            "export)."
        )
    if summary.weights == "random":
        console.print(
            "The weights of this model are random: its scores are near zero and say "
            "nothing but that the machinery works.",
            style="yellow",
        )


def print_where(summary: RunSummary, console: DataConsole) -> None:
    """Three lines: where the answers are, which MLflow run, how to open the UI."""
    console.print(f"answers   {summary.run_dir}/answers.jsonl")
    page = links(RunDirectory(Path(summary.run_dir))).get("run", "")
    tracked = f"run {summary.mlflow_run_id} {page}" if summary.mlflow_run_id else "not logged"
    console.print(f"MLflow    {tracked}")
    console.print("UI        make ui   (or: pixtrack ui) opens it")


def print_group(
    name: str,
    runs: Sequence[RunSummary],
    not_run: Sequence[Mapping[str, str]],
    console: DataConsole,
) -> None:
    """A group's headline scores, a line a dataset, and how answers were read.

    `not_run`: the datasets without a run, each with `dataset` and `error`.
    """
    model = runs[0].model if runs else "no model"
    table = Table(title=f"{model} on {name}", title_justify="left")
    for heading in ("dataset", "prompt", "headline", "score", "95% CI", "n", "status"):
        right = heading in ("score", "95% CI", "n")
        table.add_column(heading, justify="right" if right else "left")
    for run in runs:
        metric = run.metrics.get(run.headline)
        value, interval = (_number(metric.value), _interval(metric)) if metric else ("–", "–")
        table.add_row(
            run.dataset, run.prompt, run.headline, value, interval, str(run.n), run.status
        )
    for one in not_run:
        table.add_row(one["dataset"], "–", "–", "–", "–", "–", "failed")
    console.print(table)
    for run in runs:
        for line in lines_beside(run.states, run.figures):
            console.print(f"{run.dataset}: {line}", highlight=False)
    for run in runs:
        console.print(f"answers   {run.run_dir}/answers.jsonl")
    console.print("UI        make ui   (or: pixtrack ui) opens MLflow")


def _cells(metric: Interval) -> tuple[str, ...]:
    """A metric's numbers as the table's columns."""
    return (
        _number(metric.value),
        _interval(metric),
        _number(metric.stderr),
        _number(metric.stderr_naive),
        str(metric.n),
    )


def _caption(summary: RunSummary) -> str:
    parts = [f"{summary.answered} of {summary.n} answered"]
    if summary.failed:
        refused = f" ({summary.refused} refused)" if summary.refused else ""
        parts.append(f"{summary.failed} failed{refused}")
    if summary.truncated:
        parts.append(f"{summary.truncated} cut off at the output limit")
    if summary.asked_twice:
        parts.append(f"{summary.asked_twice} asked twice, as a replica died")
    if summary.samples_per_s:
        parts.append(f"{summary.samples_per_s:.1f} questions/s")
    if summary.cached_share is not None:
        parts.append(f"{100 * summary.cached_share:.0f}% of prompt tokens from the cache")
    return " · ".join(parts)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _interval(metric: Interval) -> str:
    return f"{metric.ci95[0]:.1f}–{metric.ci95[1]:.1f}" if metric.ci95 else "–"
