"""`pixtrack rescore`, `sync` and `import`: score runs again, log them, and bring in others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixtrack.flows.cli.run_options import JSON_HELP, RUN_HELP
from pixtrack.flows.plain_text import json_text, say

if TYPE_CHECKING:
    from pixtrack.configs.paths import Home
    from pixtrack.tasks.comparison.resolve import StoredRun
    from pixtrack.tasks.runs.directory import RunSummary


def register(app: typer.Typer) -> None:
    """Adds `rescore`, `sync` and `import`."""
    app.command("rescore")(rescore_command)
    app.command("sync")(sync_command)
    app.command("import")(import_command)


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
