"""`pixtrack runs` and `errors`: lists and shows runs, and their worst answers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixtrack.flows.cli.completion import run_names
from pixtrack.flows.cli.run_options import JSON_HELP, RUN_HELP
from pixtrack.flows.plain_text import json_text, say

if TYPE_CHECKING:
    from pixtrack.tasks.comparison.resolve import StoredRun


def register(app: typer.Typer) -> None:
    """Adds `runs`, `errors`, and the other commands on runs."""
    from pixtrack.flows.cli import export, run_changes, ui

    app.add_typer(_runs_app(), name="runs")
    app.command("errors")(errors)
    run_changes.register(app)
    export.register(app)
    ui.register(app)


def _runs_app() -> typer.Typer:
    from pixtrack.flows.cli import run_keeping

    runs = typer.Typer(
        help="List runs; `runs show RUN` shows one. Example: `pixtrack runs --dataset docvqa_val`",
        invoke_without_command=True,
        rich_markup_mode="markdown",
    )
    runs.callback()(list_runs)
    runs.command("list")(list_runs)
    runs.command("show")(show_run)
    run_keeping.register(runs)
    return runs


def list_runs(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Only models containing this.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Only datasets containing this.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="Only prompts containing this.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Only: running, interrupted, completed, failed, cancelled.")
    ] = None,
    sort: Annotated[
        str, typer.Option(help="created, headline, model, dataset, prompt, n, failed or speed.")
    ] = "created",
    reverse: Annotated[bool, typer.Option("--reverse", help="Turn the order round.")] = False,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Only runs with this tag; repeatable.")
    ] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Archived runs too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """List the runs of this data home, newest first.

    Example: `pixtrack runs --dataset docvqa_val --sort headline`
    """
    if context.invoked_subcommand:
        return
    from pixtrack.configs.paths import home
    from pixtrack.tasks.comparison.listing import run_rows

    where = {"model": model, "dataset": dataset, "prompt": prompt, "status": status}
    rows = run_rows(
        home(), where=where, sort=sort, reverse=reverse, archived=archived, tags=tag or ()
    )
    if as_json:
        print(json_text(rows))
        return
    if not rows:
        some = "no run fits" if any(where.values()) or tag else "no runs"
        say(f"pixtrack: {some} under {home().runs}", err=True)
        return
    _print_runs(rows)


def _print_runs(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from pixtrack.flows.terminal import DataConsole

    table = Table(box=None, pad_edge=False)
    for name in ("run", "dataset", "status", "headline", "95% interval", "n", "failed", "q/s", ""):
        right = name in ("headline", "n", "failed", "q/s")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    colours = {
        "completed": "green",
        "failed": "red",
        "cancelled": "yellow",
        "running": "cyan",
        "interrupted": "yellow",
    }
    for row in rows:
        marks = [
            "random weights" if row["weights"] == "random" else "",
            "imported" if row["imported_from"] else "",
            "" if row["mlflow_run_id"] or row["n"] is None else "not in MLflow",
            "archived" if row["archived"] else "",
            *(f"#{tag}" for tag in row["tags"]),
        ]
        table.add_row(
            Text(row["name"]),
            Text(row["dataset"]),
            Text(row["status"], style=colours.get(row["status"], "")),
            "-" if row["headline"] is None else f"{row['headline']:.1f} {row['metric']}",
            f"{row['ci95'][0]:.1f} to {row['ci95'][1]:.1f}" if row["ci95"] else "-",
            "-" if row["n"] is None else f"{row['n']:,}",
            "-" if row["failed"] is None else str(row["failed"]),
            "-" if row["samples_per_s"] is None else f"{row['samples_per_s']:.1f}",
            Text(", ".join(mark for mark in marks if mark), style="dim"),
        )
    # A pipe has no width: names are not folded for it.
    console = DataConsole() if sys.stdout.isatty() else DataConsole(width=200)
    console.print(table)


def show_run(
    run: Annotated[str, typer.Argument(help=RUN_HELP, autocompletion=run_names)] = "latest",
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Show one run: scores, how it was asked, and where everything of it lies.

    Example: `pixtrack runs show pixtral-12b@docvqa_val`
    """
    from pixtrack.configs.paths import home
    from pixtrack.tasks.comparison import resolve_run
    from pixtrack.tasks.comparison.listing import run_details

    found = resolve_run(run, home())
    if as_json:
        print(json_text(run_details(found)))
        return
    _print_run(found)


def _print_run(run: StoredRun) -> None:
    from pixtrack.flows.report import print_summary
    from pixtrack.flows.terminal import DataConsole
    from pixtrack.tasks.tracking import links
    from pixtrack.tasks.tracking.content import RunContent, params

    console = DataConsole(soft_wrap=True, highlight=False, markup=False)
    record, summary = run.record, run.directory.read_summary()
    console.print(f"{record.name}\n{record.status}{f': {record.message}' * bool(record.message)}")
    if summary:
        print_summary(summary, DataConsole())
        for past in summary.history:
            was = ", ".join(
                f"{name} {value:.2f}"
                for name, value in past.get("metrics", {}).items()
                if value is not None
            )
            console.print(f"before {past.get('scored', '')} ({past.get('reason', '')}): {was}")
    facts = {
        "note": record.note,
        "tags": ", ".join(record.tags),
        "created": record.created,
        "engine": " ".join(
            str(record.engine.get(key, "")) for key in ("name", "version", "platform")
        ).strip(),
        "git commit": record.git_commit,
        "imported from": record.imported_from,
        "directory": str(run.directory.path),
        **{f"MLflow {name}": link for name, link in links(run.directory).items()},
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        if value:
            console.print(f"{name:<{width}}  {value}")
    console.print("parameters")
    for name, value in params(RunContent.read(run.directory)).items():
        console.print(f"  {name} = {value!r}" if "\n" in value else f"  {name} = {value}")


def errors(
    run: Annotated[str, typer.Argument(help=RUN_HELP)] = "latest",
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="At most so many.")] = 20,
    metric: Annotated[
        str | None, typer.Option(help="Judge by this metric instead of the headline.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only: failed, wrong, truncated, partly or unscored; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Show a run's worst answers, each with its question, golds and image file.

    Example: `pixtrack errors latest --only truncated -n 5`
    """
    from pixtrack.configs.paths import home
    from pixtrack.tasks.comparison import resolve_run
    from pixtrack.tasks.comparison.listing import worst_answers

    found = resolve_run(run, home(), scored=True)
    worst = worst_answers(found, home(), metric=metric, count=count, only=only or ())
    if as_json:
        print(json_text(worst))
        return
    from pixtrack.flows.terminal import DataConsole

    console = DataConsole(soft_wrap=True, highlight=False, markup=False, emoji=False)
    name = metric or found.record.headline
    words = "the worst answer" if len(worst) == 1 else f"{len(worst)} worst answers"
    console.print(f"{found.record.name}: {words} by {name}", style="bold")
    for one in worst:
        score = "no score" if one["score"] is None else f"{one['score']:g}"
        console.print(f"\n[{one['index']}] {one['outcome']}, {score}", style="bold")
        console.print(f"  question    {one['question']}")
        if one["options"]:
            console.print(f"  options     {one['options']}")
        console.print(f"  golds       {one['golds'] or 'not published'}")
        console.print(f"  prediction  {one['prediction']!r}")
        if one["output"] != one["prediction"]:
            console.print(f"  raw output  {one['output']!r}")
        if one["error"]:
            console.print(f"  error       {one['error']}")
        for number, image in enumerate(one["images"]):
            console.print(f"  {'image' if number == 0 else '     '}       {image or '-'}")
        if one["images_left_out"]:
            console.print(f"  not shown   {one['images_left_out']} of these images")
