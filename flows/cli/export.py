"""`pixtrack export`: a run's answers as a competition's submission file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pixtrack.flows.plain_text import say


def register(app: typer.Typer) -> None:
    """Adds `export` to the command line."""
    app.command("export")(export_command)


def export_command(
    run: Annotated[
        str, typer.Argument(help="model@dataset, a run's name or id, its directory, or latest.")
    ],
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="rrc (DocVQA, InfographicVQA) or evalai (VQAv2, TextVQA).",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file; default: submission-FORMAT.json in the run."),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Write an empty answer where there is none."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Write a run's answers as a competition's submission file, after a check that none is missing.

    Example: `pixtrack export pixtral-12b@docvqa_test --format rrc`
    """
    from pixtrack.configs.paths import home
    from pixtrack.tasks.comparison import resolve_run
    from pixtrack.tasks.exchange.exporting import export_run

    found = resolve_run(run, home(), scored=True)
    made = export_run(found.directory, format_name, out, allow_missing)
    if as_json:
        say(json.dumps({"path": str(made.path), "answers": made.answers, "empty": made.empty}))
        return
    empty = f", {made.empty:,} of them empty" if made.empty else ""
    say(f"{made.path}: {made.answers:,} answers{empty}, as {format_name}")
