"""`pixtrack study`: models x datasets x prompts from one file, ended by a comparison."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pixtrack.flows.cli.dry_run import DryRunOption, show_dry_run
from pixtrack.flows.cli.engine_options import (
    ClusterOption,
    DataParallelOption,
    given_options,
)
from pixtrack.flows.plain_text import json_text, say


def register(app: typer.Typer) -> None:
    """Adds `study`."""

    @app.command("study")
    def study_command(
        path: Annotated[
            str, typer.Argument(help="A study's name (sample_models), or a path to its file.")
        ],
        data_parallel: DataParallelOption = None,
        cluster: ClusterOption = None,
        dry_run: DryRunOption = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print the outcome as JSON and nothing else.")
        ] = False,
        timings: Annotated[bool, typer.Option(help="Print what each part cost.")] = False,
    ) -> None:
        """Run a study: every cell with one engine start a model, then the comparison.

        Example: `pixtrack study sample_models`
        """
        from pixtrack.configs.paths import home as data_home
        from pixtrack.flows.local_prefect import LocalPrefect
        from pixtrack.flows.session import quiet_terminal, reassures_when_cancelled
        from pixtrack.tasks.cells import check_study
        from pixtrack.tasks.timings import timed

        with timed("configuration"):
            given = given_options(None, None, data_parallel)
            _config, cells = check_study(path, given, cluster)
        if dry_run:
            show_dry_run(cells, None, as_json)
            return
        with timed("cluster"):
            if cluster:
                from pixtrack.tasks.inference.clusters import check_cluster

                for model in {cell.model.name: cell.model for cell in cells}.values():
                    check_cluster(model, data_home())
        quiet_terminal()
        prefect = LocalPrefect(data_home())
        try:
            prefect.start()
            with timed("tracking store"):
                from pixtrack.tasks.tracking import default_recorder, preload

                default_recorder().check()
            with timed("imports"):
                preload()
                from pixtrack.flows.study import study
            with timed("Prefect's server"):
                prefect.wait()
            with reassures_when_cancelled():
                outcome = prefect.run(study, path, given or None, cluster)
        finally:
            with timed("closing"):
                prefect.stop()
        show(outcome, as_json, timings)


def show(outcome: dict[str, Any], as_json: bool, timings: bool) -> None:
    """Prints the cells as a table, the verdict, and the comparison's path."""
    from rich.table import Table
    from rich.text import Text

    from pixtrack.flows.terminal import DataConsole
    from pixtrack.tasks.timings import print_timings

    if as_json:
        print(json_text(outcome, None))
    else:
        table = Table(title=f"study {outcome['study']}", title_justify="left")
        for column in ("model", "dataset", "prompt", "score", "95% interval", "status"):
            table.add_column(column, justify="right" if "score" in column else "left")
        for row in outcome["cells"]:
            value = "–" if row["value"] is None else f"{row['value']:.2f}"
            interval = f"{row['ci95'][0]:.1f} – {row['ci95'][1]:.1f}" if row["ci95"] else "–"
            status = row["status"] if row["status"] == "completed" else f"failed: {row['error']}"
            table.add_row(
                row["model"], row["dataset"], row["prompt"], value, interval, Text(status)
            )
        console = DataConsole(soft_wrap=True)
        console.print(table)
        comparison = outcome.get("comparison")
        if comparison:
            console.print(f"verdict    {comparison['verdict']}", highlight=False, markup=False)
            console.print(f"page       {comparison['page']}", highlight=False, markup=False)
    if timings:
        print_timings()
    problems = [f"not compared: {outcome['not_compared']}"] if "not_compared" in outcome else []
    not_logged = dict.fromkeys(row["not_logged"] for row in outcome["cells"] if row["not_logged"])
    problems += [f"not logged to MLflow: {why}; log it with: pixtrack sync" for why in not_logged]
    lost = (outcome.get("comparison") or {}).get("not_logged")
    problems += [f"the comparison is not logged to MLflow: {lost}"] if lost else []
    for line in problems:
        say(f"pixtrack: {line}", err=True)
    if problems or any(row["status"] != "completed" for row in outcome["cells"]):
        raise typer.Exit(1)
