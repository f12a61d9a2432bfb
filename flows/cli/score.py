"""`pixtrack score`: scores a file of predictions; no model, engine or image is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pixtrack.flows.plain_text import json_text, say


def register(app: typer.Typer) -> None:
    """Adds `score`."""

    @app.command("score")
    def score_command(
        dataset: Annotated[
            str, typer.Option("--dataset", "-d", help="A name in configs/datasets.")
        ],
        predictions: Annotated[
            Path,
            typer.Option(
                "--predictions",
                "-f",
                help="JSON lines with index and prediction; the original scripts' CSV "
                "(question_id, question, predict, gt, image_id); or a run directory.",
            ),
        ],
        out: Annotated[
            Path, typer.Option("--out", "-o", help="Folder for scores.csv and summary.json.")
        ],
        annotations: Annotated[
            Path | None,
            typer.Option(
                "--annotations",
                "-a",
                help="The dataset's annotation JSONL; default: the prepared dataset.",
            ),
        ] = None,
        prompt: Annotated[
            str | None,
            typer.Option(
                "--prompt",
                "-p",
                help="Apply this prompt's post-processing first; default: none for a file, "
                "its own for a run.",
            ),
        ] = None,
        metric: Annotated[
            list[str] | None,
            typer.Option("--metric", "-m", help="Score by this metric besides; repeatable."),
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print summary.json and nothing else.")
        ] = False,
    ) -> None:
        """Score anybody's predictions by a dataset's metrics.

        Example: `pixtrack score --dataset docvqa_val --predictions preds.jsonl --annotations
        val.jsonl --out scores/`
        """
        from pixtrack.tasks.scoring.prediction_files import score_file

        summary = score_file(dataset, predictions, out, annotations, prompt, metric or ())
        if as_json:
            print(json_text(summary))
        else:
            _show(summary, out)


def _show(summary: Mapping[str, Any], out: Path) -> None:
    """Prints the scores as a table."""
    from rich.table import Table
    from rich.text import Text

    from pixtrack.flows.terminal import DataConsole
    from pixtrack.tasks.scoring.beside import lines_beside

    table = Table(title=f"{summary['dataset']}: {summary['n']} questions", title_justify="left")
    table.add_column("metric")
    for name in ("score", "± stderr", "95% interval", "naive ±", "over"):
        table.add_column(name, justify="right")
    for name, metric in summary["metrics"].items():
        ci95 = metric["ci95"]
        table.add_row(
            Text(f"{name} *", "bold") if name == summary["headline"] else name,
            *(_number(metric[key]) for key in ("value", "stderr")),
            f"{ci95[0]:.2f} to {ci95[1]:.2f}" if ci95 else "-",
            _number(metric["stderr_naive"]),
            str(metric["n"]),
        )
    DataConsole().print(table)
    say(f"* headline. Errors are clustered {summary['clustering']}.")
    for line in lines_beside(_counts(summary["states"]), summary["figures"]):
        say(line)
    if summary["failed"]:
        first = summary["failed"][0]
        say(
            f"{len(summary['failed'])} rows have no score; "
            f"the first is {first['index']}: {first['error']}"
        )
    if summary["annotations"].get("as_published") is False:
        say("The annotation file is not the published one (sha256 differs).")
    say(f"{out / 'scores.csv'}\n{out / 'summary.json'}")


def _counts(states: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The states of a summary, converted back from the form in JSON."""
    from pixtrack.tasks.runs.directory import Count

    return {
        owner: {state: Count(**count) for state, count in found.items()}
        for owner, found in states.items()
    }


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
