"""Prints what `--dry-run` of `eval` and `study` finds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixtrack.flows.plain_text import json_text, say

if TYPE_CHECKING:
    from pixtrack.flows.dry_run import PlannedCell
    from pixtrack.tasks.runs.opening import Cell

DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Say what would be done, with time, memory and disk; do nothing."
    ),
]


def show_dry_run(cells: Sequence[Cell], model_dir: Path | None, as_json: bool) -> None:
    """Prints what would be done with these cells. Exit 1 where this machine could not do it."""
    from rich.table import Table

    from pixtrack.configs.paths import home
    from pixtrack.flows.cli import model_views
    from pixtrack.flows.dry_run import dry_run
    from pixtrack.flows.terminal import DataConsole
    from pixtrack.tasks.environment import worst

    found = dry_run(cells, home(), model_dir)
    if as_json:
        print(json_text(found.to_json()))
    else:
        table = Table(title="nothing is done: what would be", title_justify="left", box=None)
        for column in ("model", "dataset", "prompt", "questions", "to ask", "time"):
            right = column in ("questions", "to ask", "time")
            table.add_column(column, justify="right" if right else "left", overflow="fold")
        for cell in found.cells:
            table.add_row(
                cell.model,
                cell.dataset if cell.prepared else f"{cell.dataset} (to be prepared)",
                cell.prompt,
                _count(cell.questions),
                _count(cell.to_ask),
                _time(cell),
            )
        DataConsole().print(table)
        if any(cell.seconds is None for cell in found.cells):
            say("? for the time: no run of this model here yet; `pixtrack tokens` computes it")
        model_views.print_checks(found.checks)
    if worst(list(found.checks)) == "failed":
        raise typer.Exit(1)


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _time(cell: PlannedCell) -> str:
    if cell.seconds is None:
        return "?"
    if cell.seconds < 90:
        return f"{cell.seconds:.0f} s"
    minutes = cell.seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
