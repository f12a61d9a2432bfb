"""`pixtrack models`, `download`, `check` and `describe`: models, the machine, free questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixtrack.flows.cli import describe
from pixtrack.flows.cli.engine_options import (
    ClusterOption,
    DataParallelOption,
    EngineOption,
    TensorParallelOption,
    given_options,
)
from pixtrack.flows.plain_text import say


def register(app: typer.Typer) -> None:
    """Adds `models` (alone it lists), `download`, `check` and `describe`."""
    models = typer.Typer(
        invoke_without_command=True,
        help="List the configured models. Example: `pixtrack models show pixtral-12b`",
    )
    app.add_typer(models, name="models")
    models.callback()(_list_when_alone)
    models.command("list")(list_models)
    models.command("show")(show_model)
    models.command("add")(add_model)
    models.command("table")(comparison_table)
    models.command("verify")(verify)
    app.command("download")(download)
    app.command("check")(check)
    describe.register(app)


MODEL_HELP = "A name in configs/models, ORG/NAME[@REVISION] of the hub, or a folder."

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
DirectoryOption = Annotated[
    Path | None, typer.Option(help="A directory that already holds the model's files.")
]


def _list_when_alone(context: typer.Context, as_json: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        list_models(as_json)


def list_models(as_json: JsonOption = False) -> None:
    """List the configured models, and which of them are here and fit.

    Exit code 2 where a model's file cannot be read; the others are listed.

    Example: `pixtrack models list`
    """
    from pixtrack.configs.paths import home
    from pixtrack.flows.cli import model_views
    from pixtrack.flows.cli.broken_files import report_broken

    rows, broken = model_views.overview(home())
    if as_json:
        model_views.print_json(rows)
    else:
        model_views.print_overview(rows)
    report_broken(broken)


def show_model(
    name: Annotated[str, typer.Argument(help=MODEL_HELP)],
    model_dir: DirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a model's card beside what this machine can do with it.

    Example: `pixtrack models show pixtral-12b`
    """
    from pixtrack.configs.paths import home
    from pixtrack.flows.cli import model_views
    from pixtrack.tasks.environment import find_model

    view = model_views.card(find_model(name), home(), model_dir)
    if as_json:
        model_views.print_json(view)
    else:
        model_views.print_card(view)


def add_model(
    name: Annotated[str, typer.Argument(help="The model's name: letters, digits, '_', '-'.")],
    source: Annotated[
        str,
        typer.Argument(help="ORG/NAME[@REVISION] of the hub, a folder, or an endpoint's http://…"),
    ],
    title: Annotated[str, typer.Option(help="As people write it.")] = "",
    licence: Annotated[
        str, typer.Option(help="The model's licence, where its card has none.")
    ] = "",
    max_images: Annotated[
        int | None, typer.Option(min=1, help="Images in one prompt; default: 5.")
    ] = None,
    served_model: Annotated[
        str, typer.Option(help="Of an endpoint: the model's name there; default: its first one.")
    ] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Write over a file of yours.")] = False,
) -> None:
    """Write the file of a model from what its own files tell; what they do not tell is said.

    Example: `pixtrack models add mine Qwen/Qwen2.5-VL-3B-Instruct --max-images 8`
    """
    from pixtrack.configs.paths import home
    from pixtrack.tasks.environment.model_file import add

    said = {"title": title, "licence": licence, "max_images": max_images}
    path, model = add(name, source, home(), said, served_model, replace)
    say(f"{path}: {model.notes or model.title}")
    say(f"use it: pixtrack eval --model {name}; look at it: pixtrack models show {name}")


def comparison_table(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models, in this order; default: those of the guide."),
    ] = None,
    markdown: Annotated[bool, typer.Option(help="Print Markdown, for a document.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the setup guide's comparison of models: size, batch support, memory, speed.

    Example: `pixtrack models table pixtral-12b llava-onevision qwen2.5-vl-7b --markdown`
    """
    from pixtrack.flows.cli import model_views
    from pixtrack.flows.cli.broken_files import report_broken

    table, broken = model_views.comparison(names or [])
    if as_json:
        model_views.print_json(table)
    else:
        model_views.print_comparison(table, markdown)
    report_broken(broken)


def verify(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    model_dir: DirectoryOption = None,
) -> None:
    """Read a model's files again, every byte, and compare them with what was downloaded.

    Exit code 1 where a file is missing, truncated or damaged; `pixtrack download` replaces those.

    Example: `pixtrack models verify pixtral-12b`
    """
    from pixtrack.configs.paths import home
    from pixtrack.flows.bars import BYTES, bar
    from pixtrack.tasks.download import files_of, verify_model
    from pixtrack.tasks.environment import find_model

    config = find_model(model)
    with bar(f"verify {config.name}", BYTES) as shown:
        found, compared = verify_model(config, home(), model_dir, shown.update)
    for line in found:
        say(line)
    if found:
        remedy = files_of(config, model_dir).repair
        say(f"pixtrack: {config.name} is not complete: {remedy}", err=True)
        raise typer.Exit(1)
    how = (
        f"{compared} files have the content that was downloaded"
        if compared
        else ("complete; their content cannot be compared, they were not downloaded here")
    )
    say(f"{config.name}: {how}")


def download(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="huggingface (default) or modelscope, where the model names it."
        ),
    ] = None,
    model_dir: DirectoryOption = None,
    refresh: Annotated[
        bool, typer.Option(help="Ask again what an unpinned revision (main) stands for.")
    ] = False,
) -> None:
    """Download a model's files: only those it needs, resumed, and verified.

    An interrupted download continues where it broke off. With `--model-dir` a copy that is here
    already is checked instead. Mirrors: HF_ENDPOINT. Gated models: HF_TOKEN.

    Example: `pixtrack download pixtral-12b`
    """
    from pixtrack.configs.errors import UserError
    from pixtrack.configs.paths import home
    from pixtrack.flows.bars import BYTES, bar
    from pixtrack.tasks.download import fetch_model, read_manifest
    from pixtrack.tasks.environment import find_model

    if source not in (None, "huggingface", "modelscope"):
        raise UserError(f"--from {source}: use huggingface or modelscope")
    config = find_model(model)
    with bar(config.name, BYTES) as shown:
        directory = fetch_model(
            config,
            home(),
            model_dir,
            shown.update,
            source=source,  # type: ignore[arg-type]
            refresh=refresh,
        )
    manifest = read_manifest(directory)
    if manifest is not None and manifest.repo:
        size = sum(state.size for state in manifest.files.values()) / 1e9
        commit = f" at {manifest.revision}" if manifest.revision else ""
        say(
            f"{directory}: {len(manifest.files)} files, {size:.2f} GB, verified; "
            f"{manifest.repo}{commit} ({manifest.source})"
        )
    else:
        say(f"{directory}: complete")


def check(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Also: does this model fit here?")
    ] = None,
    model_dir: DirectoryOption = None,
    engine: EngineOption = None,
    tensor_parallel: TensorParallelOption = None,
    data_parallel: DataParallelOption = None,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report what this machine can run, or every node of a cluster, each line with its remedy.

    Exit code 1 where a line failed.

    Example: `pixtrack check --model pixtral-12b`
    """
    from pixtrack.configs.errors import UserError
    from pixtrack.configs.paths import home
    from pixtrack.flows.cli import model_views
    from pixtrack.tasks.cells import resolve_model
    from pixtrack.tasks.environment import check_machine, worst

    if model_dir is not None and model is None:
        raise UserError("--model-dir says where a model's files are: name it with --model")
    given = given_options(engine, tensor_parallel, data_parallel)
    if given and model is None:
        raise UserError("--engine and -tp are options of a model: name it with --model")
    config = resolve_model(model, given, cluster)[0] if model else None
    if cluster:
        from pixtrack.tasks.inference.clusters import report_of

        checks = report_of(cluster, config, home())
    else:
        checks = check_machine(home(), config, model_dir, ask_hub=True)
    if as_json:
        model_views.print_json([line.model_dump() for line in checks])
    else:
        model_views.print_checks(checks)
    if worst(checks) == "failed":
        raise typer.Exit(1)
