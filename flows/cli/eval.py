"""`pixtrack eval`: one model on a dataset or a group. Slow parts start at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixtrack.flows.cli.completion import dataset_names, model_names, prompt_names
from pixtrack.flows.cli.dry_run import DryRunOption, show_dry_run
from pixtrack.flows.cli.engine_options import (
    ClusterOption,
    DataParallelOption,
    EngineOption,
    TensorParallelOption,
    given_options,
)
from pixtrack.flows.plain_text import json_text, say

if TYPE_CHECKING:
    from pixtrack.configs.paths import Home
    from pixtrack.configs.schema import ModelConfig, Settings
    from pixtrack.tasks.runs.opening import Cell
    from pixtrack.tasks.runs.selection import Selection


def register(app: typer.Typer) -> None:
    """Adds `eval`."""

    @app.command("eval")
    def evaluate_command(
        dataset: Annotated[
            str,
            typer.Option(
                "--dataset",
                "-d",
                autocompletion=dataset_names,
                help="A name in configs/datasets, or a group's.",
            ),
        ] = "sample",
        model: Annotated[
            str | None,
            typer.Option(
                "--model",
                "-m",
                autocompletion=model_names,
                help="A name in configs/models, ORG/NAME[@REV], a folder; default: what fits.",
            ),
        ] = None,
        prompt: Annotated[
            str | None,
            typer.Option(
                "--prompt",
                "-p",
                autocompletion=prompt_names,
                help="A name in configs/prompts; default: the dataset's.",
            ),
        ] = None,
        limit: Annotated[
            int | None,
            typer.Option(
                "--limit", "-n", min=1, help="Only the first N questions, as the file has them."
            ),
        ] = None,
        sample: Annotated[
            int | None,
            typer.Option(min=1, help="N questions drawn by image, types mixed as in the whole."),
        ] = None,
        questions: Annotated[
            Path | None, typer.Option(help="A file of question ids, one a line: only those.")
        ] = None,
        size: Annotated[
            int | None,
            typer.Option(min=1, max=5000, help="Images of the generated dataset, for load tests."),
        ] = None,
        model_dir: Annotated[
            Path | None, typer.Option(help="A directory that already holds the model's files.")
        ] = None,
        engine: EngineOption = None,
        tensor_parallel: TensorParallelOption = None,
        data_parallel: DataParallelOption = None,
        cluster: ClusterOption = None,
        temperature: Annotated[
            float | None,
            typer.Option(
                min=0, help="Draw answers at this temperature; default: 0, the likeliest."
            ),
        ] = None,
        max_tokens: Annotated[
            int | None, typer.Option(min=1, help="Output limit; default: the prompt's.")
        ] = None,
        system: Annotated[
            str | None, typer.Option(help='System prompt ("": none); default: the prompt\'s.')
        ] = None,
        seed: Annotated[
            int | None,
            typer.Option(min=0, help="Of --sample, and of answers at a temperature above 0."),
        ] = None,
        dry_run: DryRunOption = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print the summary as JSON and nothing else.")
        ] = False,
        timings: Annotated[bool, typer.Option(help="Print what each part cost.")] = False,
    ) -> None:
        """Evaluate a model on a dataset: ask, score, track.

        A group's datasets (`pixtrack datasets` lists the groups) are asked one after the other,
        with one engine start.

        Example: `pixtrack eval --dataset docvqa_val --model pixtral-12b --limit 200`
        """
        from pixtrack.configs.loading import sized
        from pixtrack.configs.schema import Settings
        from pixtrack.tasks.runs.selection import read_ids, selection_of

        dataset = sized(dataset, size)
        given = given_options(engine, tensor_parallel, data_parallel)
        settings = Settings(
            temperature=temperature,
            max_tokens=max_tokens,
            system=system,
            seed=seed if temperature or sample is None else None,
        )
        ids = read_ids(questions) if questions else None
        selection = selection_of(limit, sample, seed, ids)
        if dry_run:
            from pixtrack.tasks.cells import resolve_cells, resolve_model

            config, _reason = resolve_model(model, given, cluster)
            cells = resolve_cells(dataset, config, prompt, limit, settings, selection)
            show_dry_run(cells, model_dir, as_json)
            return
        run_evaluation(
            dataset,
            model,
            prompt,
            limit,
            model_dir,
            given,
            settings,
            as_json,
            timings,
            cluster,
            selection,
        )


def run_evaluation(
    dataset: str,
    model: str | None,
    prompt: str | None,
    limit: int | None,
    model_dir: Path | None,
    engine: dict[str, Any],
    settings: Settings,
    as_json: bool,
    timings: bool,
    cluster: str | None = None,
    selection: Selection | None = None,
) -> None:
    """The body of the command: starts the slow parts, runs the flow, and shows the outcome."""
    from pixtrack.configs.paths import home as data_home
    from pixtrack.flows.local_prefect import LocalPrefect
    from pixtrack.flows.page_log import PAGE
    from pixtrack.flows.session import quiet_terminal, reassures_when_cancelled
    from pixtrack.tasks.cells import resolve_cells, resolve_model
    from pixtrack.tasks.timings import timed

    home = data_home()
    with timed("configuration"):
        config, reason = resolve_model(model, engine, cluster)
        cells = resolve_cells(dataset, config, prompt, limit, settings, selection)
        if config.cluster or (engine.get("data_parallel_size") or 1) > 1:
            with timed("cluster"):
                from pixtrack.tasks.inference.clusters import check_cluster

                check_cluster(config, home)
    quiet_terminal()
    if reason:
        say(f"pixtrack: no model named, so {config.name}: {reason}", err=True)
        PAGE.info("no model named, so %s: %s", config.name, reason)
    prefect = LocalPrefect(home)
    try:
        prefect.start()
        with timed("tracking store"):
            from pixtrack.tasks.tracking import default_recorder, preload

            default_recorder().check()
        with timed("engine started early"):
            _start_engine(config, cells, home, model_dir)
        with timed("imports"):
            preload()
            from pixtrack.flows.evaluate import evaluate
        with timed("Prefect's server"):
            prefect.wait()
        with reassures_when_cancelled():
            summary = prefect.run(
                evaluate,
                dataset,
                model or config.name,
                prompt,
                limit,
                str(model_dir) if model_dir else None,
                engine or None,
                cluster=cluster,
                **_given(settings, selection),
            )
    finally:
        with timed("closing"):
            from pixtrack.tasks.inference.starting import close_early

            close_early()
            prefect.stop()
    _show(summary, as_json, timings)


def _given(settings: Settings, selection: Selection | None) -> dict[str, Any]:
    """What the flow is given besides: only what the command has named."""
    given: dict[str, Any] = settings.model_dump(exclude_none=True)
    if selection is not None and selection.questions:
        given["questions"] = list(selection.questions)
    elif selection is not None:
        given["sample"] = selection.sample
        if selection.seed:
            given["seed"] = selection.seed
    return given


def _start_engine(
    config: ModelConfig, cells: Sequence[Cell], home: Home, model_dir: Path | None
) -> None:
    """Starts the engine now if its files are here and some question may be unanswered."""
    from pixtrack.tasks.datasets import load_prepared
    from pixtrack.tasks.datasets.shots import known_shots
    from pixtrack.tasks.download import fetch_model, files_of, local_files, model_identity
    from pixtrack.tasks.inference.starting import engine_facts, longest_request, start_early
    from pixtrack.tasks.runs.opening import everything_answered, identity_of

    files = local_files(config, home, model_dir)
    if files is None and files_of(config, model_dir).made_when_used:
        files = fetch_model(config, home)
    if files is None:
        return
    ready = [(cell, prepared) for cell in cells if (prepared := load_prepared(cell.dataset, home))]
    if len(ready) == len(cells):
        model_facts = model_identity(config, files, home)
        facts = engine_facts(config, files, home)
        longest = longest_request(config, files, home)
        identities = []
        for cell, prepared in ready:
            shots = known_shots(cell.prompt, prepared, home)
            if shots is None:
                break
            cell = replace(cell, shots=shots)
            identity = identity_of(cell, model_facts, facts, prepared, longest)
            identities.append((cell, prepared, identity))
        if len(identities) == len(cells) and all(
            everything_answered(*opened, home) for opened in identities
        ):
            return
    start_early(config, files, home, model_dir)


def _show(data: dict[str, Any], as_json: bool, timings: bool) -> None:
    """Prints the outcome; exits with 1 where a run failed or was not logged."""
    from pixtrack.tasks.timings import print_timings

    runs = data["runs"] if "group" in data else [data]
    not_run = data.get("not_run", ())
    not_logged = dict.fromkeys(why for run in runs if (why := run.pop("not_logged", "")))
    _print(data, as_json)
    if timings:
        print_timings()
    problems = [f"{one['dataset']}: {one['error']}" for one in not_run]
    problems += [run["message"] for run in runs if run["status"] == "failed"]
    problems += [f"not logged to MLflow: {why}; log it with: pixtrack sync" for why in not_logged]
    for line in problems:
        say(f"pixtrack: {line}", err=True)
    if problems:
        raise typer.Exit(1)


def _print(data: dict[str, Any], as_json: bool) -> None:

    from pixtrack.flows.report import print_group, print_summary, print_where
    from pixtrack.flows.terminal import DataConsole
    from pixtrack.tasks.runs.directory import RunSummary

    if as_json:
        print(json_text(data, None))
    elif "group" in data:
        runs = [RunSummary.model_validate(run) for run in data["runs"]]
        print_group(data["group"], runs, data["not_run"], DataConsole(soft_wrap=True))
    else:
        summary = RunSummary.model_validate(data)
        print_summary(summary, DataConsole())
        print_where(summary, DataConsole(soft_wrap=True))
