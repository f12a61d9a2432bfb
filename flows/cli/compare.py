"""`pixtrack compare`: which run is better, by how much, and whether the difference is
significant.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixtrack.flows.plain_text import say

if TYPE_CHECKING:
    from pixtrack.tasks.comparison import Comparison
    from pixtrack.tasks.comparison.publish import Published
    from pixtrack.tasks.tracking import ReportRecorder


def register(app: typer.Typer) -> None:
    """Adds `compare`."""

    @app.command("compare")
    def compare_command(
        runs: Annotated[
            list[str],
            typer.Argument(
                help="Runs by name, id, MODEL@DATASET[@PROMPT], latest or path; "
                "MODEL alone stands for its runs on every dataset that all models have.",
                metavar="RUN...",
            ),
        ],
        dataset: Annotated[
            list[str] | None,
            typer.Option("--dataset", "-d", help="Only on this dataset; may be repeated."),
        ] = None,
        baseline: Annotated[
            str | None,
            typer.Option(
                "--baseline", "-b", help="The run, or model, to compare with; default: the first."
            ),
        ] = None,
        metric: Annotated[
            str | None,
            typer.Option(help="A metric that all runs have; default: the headline metric."),
        ] = None,
        allow: Annotated[
            list[str] | None,
            typer.Option(help="Let a mismatch through: prompt, questions or metric."),
        ] = None,
        failed: Annotated[
            str,
            typer.Option(help="Failed questions: drop them from each pair, or score them zero."),
        ] = "drop",
        out: Annotated[
            Path | None,
            typer.Option(help="Folder of the report; default: comparisons/NAME in the data home."),
        ] = None,
        page_megabytes: Annotated[
            float, typer.Option(min=1, help="About how large the HTML page may grow.")
        ] = 18,
        track: Annotated[
            bool, typer.Option("--track/--no-track", help="Log the comparison to MLflow.")
        ] = True,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print the comparison as JSON and nothing else.")
        ] = False,
    ) -> None:
        """Compare runs on the same questions: paired, clustered by image, corrected.

        Example: `pixtrack compare pixtral-12b qwen2.5-vl-7b --dataset docvqa_val`
        """
        from pixtrack.configs.errors import unknown_name

        if failed not in ("drop", "zero"):
            raise unknown_name("policy for --failed", failed, ["drop", "zero"])
        run_comparison(
            runs, dataset or [], baseline, metric, allow or [], failed, out,
            page_megabytes, track, as_json,
        )  # fmt: skip


def run_comparison(
    references: list[str],
    datasets: list[str],
    baseline: str | None,
    metric: str | None,
    allow: list[str],
    failed: str,
    out: Path | None,
    page_megabytes: float,
    track: bool,
    as_json: bool,
) -> None:
    """The body of the command: finds the runs, compares them, writes, logs and shows the result."""
    import json

    from pixtrack.configs.paths import home as data_home
    from pixtrack.flows.terminal import DataConsole
    from pixtrack.tasks.comparison import compare, resolve_runs
    from pixtrack.tasks.comparison.publish import publish
    from pixtrack.tasks.comparison.resolve import resolve_baseline

    home = data_home()
    recorder: ReportRecorder | None = None
    if track:
        from pixtrack.tasks.tracking import TrackingUnavailable, default_recorder

        recorder = tracker = default_recorder()
        try:
            tracker.check()
        except TrackingUnavailable as error:
            raise TrackingUnavailable(f"{error}; or compare with --no-track") from None
    found = resolve_runs(references, home, datasets)
    base = resolve_baseline(baseline, home, found) if baseline else None
    directories = [run.directory for run in found]
    console = DataConsole(stderr=True)
    with console.status("comparing") as status:
        comparison = compare(
            directories,
            base,
            metric=metric,
            failed="zero" if failed == "zero" else "drop",
            allow=allow,
            progress=status.update,
        )
        status.update("writing the report")
        published = publish(
            comparison, home, out, recorder=recorder, page_bytes=int(page_megabytes * 1e6)
        )
    if as_json:
        json.dump(
            {
                **comparison.to_json(),
                "directory": str(published.written.directory),
                "page": str(published.written.page),
                "link": published.link,
            },
            sys.stdout,
            ensure_ascii=False,
        )
        print()
        return
    show(comparison, published, track)


def show(comparison: Comparison, published: Published, track: bool) -> None:
    """Prints the verdict, a table for each dataset, and the report's path."""
    import textwrap

    from rich.table import Table
    from rich.text import Text

    from pixtrack.flows.terminal import DataConsole
    from pixtrack.tasks.comparison.result_tables import difference_words, score_words
    from pixtrack.tasks.comparison.verdict import p_words

    console = DataConsole()
    console.print(Text(comparison.verdict, style="bold"))
    for dataset in comparison.datasets:
        table = Table(
            title=f"{dataset.title}: {dataset.questions:,} questions on {dataset.images:,} images",
            title_justify="left",
            title_style="bold",
        )
        table.add_column("run", overflow="fold", min_width=12)
        metric = textwrap.fill(dataset.metric_title, 12, break_long_words=False)
        for name in (metric, "difference", "p", "won/tied\n/lost", "failed\n/cut"):
            table.add_column(name, justify="right", no_wrap=True)
        pairs = {pair.run: pair for pair in dataset.differences}
        for run in dataset.runs:
            pair = pairs.get(run.key)
            against = ["baseline" if run.key == dataset.baseline else "", "", ""]
            if pair:
                p = "" if pair.p_corrected is None else p_words(pair.p_corrected)
                against = [
                    _two_lines(difference_words(pair)),
                    p.removeprefix("p ").removeprefix("= "),
                    f"{pair.wins}/{pair.ties}/{pair.losses}",
                ]
            table.add_row(
                Text(run.label),
                _two_lines(score_words(run.score)),
                *against,
                f"{run.failed}/{run.truncated}",
            )
        console.print()
        console.print(table)
        for run in dataset.runs:
            for line in run.beside:
                console.print(Text(f"{run.label}: {line}"))
        for pair in dataset.differences if comparison.comparisons > 1 else ():
            console.print(Text(f"{pair.sentence}"))
        for note in dataset.notes:
            console.print(Text(f"note: {note}", style="yellow"))
    written = published.written
    console.print()
    size = f"{written.page_bytes / 1e6:.1f} MB"
    console.print(
        Text(f"page      {written.page}  ({size}, {written.with_image:,} questions with image)"),
        soft_wrap=True,
    )
    console.print(Text(f"markdown  {written.markdown}"), soft_wrap=True)
    console.print(Text(f"data      {written.json}, *.csv"), soft_wrap=True)
    if published.link:
        console.print(Text(f"mlflow    {published.link}"), soft_wrap=True)
    elif track:
        say(f"pixtrack: not logged to MLflow: {published.not_logged}", err=True)


def _two_lines(words: str) -> str:
    """Puts a value above its interval, so that a table fits in 80 columns."""
    return words.replace(" (", "\n").removesuffix(")")
