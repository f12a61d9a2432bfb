"""`pixtrack runs`, `errors`, `rescore`, `sync` and `import`: commands on runs that are on disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixtrack.flows.plain_text import json_text, say

if TYPE_CHECKING:
    from pixtrack.configs.paths import Home
    from pixtrack.tasks.comparison.resolve import StoredRun
    from pixtrack.tasks.runs.directory import RunSummary

RUN_HELP = "A run's name, MLflow id, fingerprint (6+ characters), model@dataset, latest, or a path."
JSON_HELP = "Print JSON and nothing else."


def register(app: typer.Typer) -> None:
    """Adds `runs`, `errors`, `rescore`, `sync`, `import`, `export` and `ui`."""
    from pixtrack.flows.cli import export, ui

    app.add_typer(_runs_app(), name="runs")
    app.command("errors")(errors)
    app.command("rescore")(rescore_command)
    app.command("sync")(sync_command)
    app.command("import")(import_command)
    export.register(app)
    ui.register(app)


def _runs_app() -> typer.Typer:
    runs = typer.Typer(
        help="List runs; `runs show RUN` shows one. Example: `pixtrack runs --dataset docvqa_val`",
        invoke_without_command=True,
        rich_markup_mode="markdown",
    )
    runs.callback()(list_runs)
    runs.command("list")(list_runs)
    runs.command("show")(show_run)
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
    rows = run_rows(home(), where=where, sort=sort, reverse=reverse)
    if as_json:
        print(json_text(rows))
        return
    if not rows:
        some = "no run fits" if any(where.values()) else "no runs"
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
    # A pipe has no width of its own: do not fold names for it.
    console = DataConsole() if sys.stdout.isatty() else DataConsole(width=200)
    console.print(table)


def show_run(
    run: Annotated[str, typer.Argument(help=RUN_HELP)] = "latest",
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
    console.print(f"{found.record.name}: {len(worst)} worst answers by {name}", style="bold")
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


def rescore_command(
    run: Annotated[str, typer.Argument(help=RUN_HELP)] = "latest",
    metric: Annotated[
        list[str] | None, typer.Option(help="Score by this metric besides; repeatable.")
    ] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Annotation JSONL, where the dataset is not prepared here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the new summary as JSON.")] = False,
) -> None:
    """Score a run's stored answers again, without an engine; the old scores are kept beside.

    Example: `pixtrack rescore pixtral-12b@docvqa_val --metric mistral_evals`
    """
    from pixtrack.configs.paths import home
    from pixtrack.tasks.comparison import resolve_run
    from pixtrack.tasks.runs.lock import RunLock
    from pixtrack.tasks.scoring.rescoring import rescore
    from pixtrack.tasks.tracking import default_recorder

    default_recorder().check()
    found = resolve_run(run, home(), scored=True)
    with RunLock(found.directory):
        before, now = rescore(found.directory, home(), metric or (), annotations)
        logged = _log(found, home())
    if as_json:
        say(now.model_dump_json(indent=2))
    else:
        _print_changes(found.record.name, before, now)
    if logged:
        say(f"pixtrack: {logged}", err=True)
        raise typer.Exit(1)


def _print_changes(name: str, before: RunSummary, now: RunSummary) -> None:
    say(name)
    if now is before:
        say("unchanged: the same metrics give the same scores")
        return
    for metric, interval in now.metrics.items():
        value = "not scored" if interval.value is None else f"{interval.value:.2f}"
        old = before.metrics.get(metric)
        if old is None:
            say(f"{metric}: {value} (new)")
        elif old.value == interval.value:
            say(f"{metric}: {value} (as before)")
        else:
            was = "not scored" if old.value is None else f"{old.value:.2f}"
            say(f"{metric}: {value} (was {was})")


def _log(run: StoredRun, home: Home) -> str:
    """Logs the run; returns why it is not logged, or "" where it is."""
    from pixtrack.tasks.tracking import default_recorder
    from pixtrack.tasks.tracking.recording import log_or_reason

    reason = log_or_reason(run.directory, home.images, default_recorder())
    return f"not logged ({reason}): run `pixtrack sync` later" if reason else ""


def sync_command(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Runs; all of them where none is named.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Log finished runs that MLflow has not got yet, each once; run it again after an outage.

    Example: `pixtrack sync`
    """
    from pixtrack.configs.addresses import shown
    from pixtrack.configs.paths import home
    from pixtrack.tasks.comparison import resolve_run, stored_runs
    from pixtrack.tasks.tracking import Synced, default_recorder, sync, tracking_uri

    default_recorder().check()
    chosen = [resolve_run(one, home()) for one in runs] if runs else stored_runs(home())

    def on_run(one: Synced) -> None:
        if one.outcome != "unchanged":
            detail = f" ({one.detail})" if one.detail else ""
            say(f"{one.outcome}: {one.run.path.name}{detail}", err=True)

    done = sync([one.directory for one in chosen], home().images, on_run)
    counts = {
        outcome: sum(one.outcome == outcome for one in done)
        for outcome in ("logged", "unchanged", "unfinished", "damaged")
    }
    if as_json:
        print(json_text(counts))
        return
    counted = ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if n) or "no runs"
    say(f"{shown(tracking_uri())}: {counted}")


def import_command(
    file: Annotated[Path, typer.Argument(help="The CSV (or JSON lines) of predictions.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="What made them: a name of your choice.")
    ],
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="A name in configs/datasets, or its alias.")
    ],
    annotations: Annotated[
        Path | None,
        typer.Option(help="Annotation JSONL with the golds, where the dataset is not prepared."),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", help="The prompt they were made with.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Bring in predictions made elsewhere as a run: scored, tracked, comparable, marked imported.

    Example: `pixtrack import pixtral_docvqa_val.csv --model pixtral-12b --dataset docvqa_val`
    """
    from pixtrack.configs.paths import home
    from pixtrack.flows.report import print_summary
    from pixtrack.flows.terminal import DataConsole
    from pixtrack.tasks.comparison import resolve_run
    from pixtrack.tasks.exchange.importing import import_predictions
    from pixtrack.tasks.runs.lock import RunLock
    from pixtrack.tasks.tracking import default_recorder

    default_recorder().check()
    made = import_predictions(file, model, dataset, home(), annotations, prompt)
    with RunLock(made):
        logged = _log(resolve_run(str(made.path), home()), home())
    summary, record = made.read_summary(), made.read_record()
    assert summary is not None and record is not None, "import_predictions writes them"
    summary = summary.model_copy(update={"mlflow_run_id": record.mlflow_run_id})
    if as_json:
        say(summary.model_dump_json(indent=2))
    else:
        print_summary(summary, DataConsole())
        say(f"run  {made.path}")
    if logged:
        say(f"pixtrack: {logged}", err=True)
        raise typer.Exit(1)
