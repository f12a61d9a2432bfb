"""`pixtrack datasets`: list, show, add and prepare datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds `datasets` with its verbs; alone it lists."""
    datasets = typer.Typer(
        invoke_without_command=True,
        help="List the configured datasets. Example: `pixtrack datasets show docvqa_val`",
    )
    app.add_typer(datasets, name="datasets")
    datasets.callback()(_list_when_alone)
    datasets.command("list")(list_datasets)
    datasets.command("show")(show_dataset)
    datasets.command("prepare")(prepare_dataset)
    datasets.command("add")(add_dataset)
    datasets.command("remove")(remove_dataset)


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
NameArgument = Annotated[
    str, typer.Argument(help="A name or alias in configs/datasets, or a group's name.")
]


def _list_when_alone(context: typer.Context, as_json: JsonOption = False) -> None:
    if context.invoked_subcommand is None:
        list_datasets(as_json)


def list_datasets(as_json: JsonOption = False) -> None:
    """List the configured datasets, which of them are prepared, and the groups of datasets.

    Exit code 2 where a file cannot be read; the others are listed.

    Example: `pixtrack datasets list`
    """
    from pixtrack.configs.paths import home
    from pixtrack.flows.cli import dataset_views, group_views
    from pixtrack.flows.cli.broken_files import report_broken

    rows, broken = dataset_views.overview(home())
    groups, broken_groups = group_views.groups()
    if as_json:
        dataset_views.print_json(group_views.with_groups(rows, groups))
    else:
        dataset_views.print_overview(rows)
        group_views.print_groups(groups)
    report_broken([*broken, *broken_groups])


def show_dataset(
    name: NameArgument,
    samples: Annotated[
        int | None,
        typer.Option(min=1, max=200, help="Write a picture of so many samples (a contact sheet)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The picture's file; default NAME-samples.png.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a dataset's card: source, licence, counts, image sizes, prompts, published scores.

    Of a group: its datasets.

    Example: `pixtrack datasets show docvqa_val --samples 12 --out docvqa.png`
    """
    from pixtrack.configs.loading import is_group, load_dataset, load_group
    from pixtrack.configs.paths import home
    from pixtrack.flows.cli import dataset_views, group_views
    from pixtrack.tasks.datasets.card import card

    if is_group(name) and samples is None:
        group_views.show_group(load_group(name), home(), as_json)
        return
    config = load_dataset(name)
    view = card(config, home())
    if as_json:
        dataset_views.print_json(view)
    else:
        dataset_views.print_card(view)
    if samples is not None:
        dataset_views.contact_sheet(config, samples, out or Path(f"{config.name}-samples.png"))


def prepare_dataset(
    name: NameArgument,
    annotations: Annotated[
        Path | None,
        typer.Option(help="A copy of the dataset's annotation file, in place of fetching it."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, max=5000, help="Images of the generated dataset, for load tests."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a dataset, check every image and store it; at once where that is done already.

    Of a group, every dataset in turn.

    Interrupted, it goes on where it stopped. HF_ENDPOINT names a mirror, HF_TOKEN opens gated
    repositories, HF_HUB_OFFLINE=1 forbids the network.

    Example: `pixtrack datasets prepare docvqa_val`
    """
    from pixtrack.configs.loading import is_group, load_dataset, load_group, sized
    from pixtrack.configs.paths import home
    from pixtrack.flows.cli import dataset_views, group_views

    if is_group(name) and annotations is None and size is None:
        group_views.prepare_group(load_group(name), home(), as_json)
        return
    config = load_dataset(sized(name, size))
    if annotations is not None:
        from pixtrack.tasks.datasets.sources import source_kind

        source_kind(config).keep_annotations(config, home(), annotations)
    dataset_views.prepare_with_bar(config, home())
    dataset_views.report_prepared(config, home(), as_json)


def add_dataset(
    name: Annotated[str, typer.Argument(help="The dataset's name: letters, digits, '_', '-'.")],
    qa_file: Annotated[
        Path,
        typer.Option(
            help="The questions: JSON Lines, JSON, CSV, TSV or parquet (a file or a folder)."
        ),
    ],
    img_folder: Annotated[
        Path | None,
        typer.Option(
            help="The folder that names of images and PDFs start at; default: the file's own."
        ),
    ] = None,
    answers_file: Annotated[
        Path | None,
        typer.Option(help="Answers in a file of their own, joined by question id (VQA)."),
    ] = None,
    text_only: Annotated[
        bool, typer.Option("--text-only", help="The questions are on no image.")
    ] = False,
    dpi: Annotated[
        int | None,
        typer.Option(min=18, max=600, help="Resolution of PDF pages, dots an inch; default 144."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="A metric; may be given several times; default: anls, or what the row format has."
        ),
    ] = None,
    headline: Annotated[
        str, typer.Option(help="The metric that stands for the dataset; default: the first.")
    ] = "",
    prompt: Annotated[str, typer.Option(help="Default prompt; default: lmms_eval.")] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=KEY",
            help="The file's key for question, answers, image, question_id, question_type, …",
        ),
    ] = None,
    row_format: Annotated[
        str, typer.Option(help="How a row is laid out; default: seen from the rows.")
    ] = "",
    title: Annotated[str, typer.Option(help="As people write it.")] = "",
    licence: Annotated[str, typer.Option(help="The data's licence.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Give an existing dataset these files.")
    ] = False,
    allow_bad_rows: Annotated[
        bool, typer.Option("--allow-bad-rows", help="Keep bad rows as failed samples.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check every row and image of your own data, then write its YAML.

    Example: `pixtrack datasets add invoices --qa-file qa.jsonl --img-folder scans/ --metric anls`
    """
    from pixtrack.configs.loading import load_prompt
    from pixtrack.configs.references import is_reference, located
    from pixtrack.flows.cli import dataset_views
    from pixtrack.tasks.datasets.new_dataset import NewDataset
    from pixtrack.tasks.scoring.finishing import check_metrics
    from pixtrack.tasks.scoring.own import load

    named = [located(one, Path.cwd()) if is_reference(one) else one for one in metric or []]
    check_metrics([*named, *([headline] if headline else [])])
    for reference in filter(is_reference, named):
        load(reference)
    if prompt:
        load_prompt(prompt)
    new = NewDataset(
        name=name,
        qa_file=qa_file,
        img_folder=img_folder,
        answers_file=answers_file,
        text_only=text_only,
        dpi=dpi,
        metrics=tuple(named),
        headline=located(headline, Path.cwd()) if is_reference(headline) else headline,
        prompt=prompt,
        title=title,
        licence=licence,
        row_format=row_format,
        columns=dataset_views.columns_of(column or []),
        replace=replace,
        allow_bad_rows=allow_bad_rows,
    )
    dataset_views.add(new, as_json)


def remove_dataset(
    name: Annotated[str, typer.Argument(help="A name or alias in configs/datasets.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
) -> None:
    """Remove what was prepared of a dataset, and what `datasets add` wrote, after asking.

    Your own questions and images stay where they are, and so do the runs on the dataset: without
    it they cannot be scored again.

    Example: `pixtrack datasets remove invoices`
    """
    from pixtrack.configs.loading import load_dataset
    from pixtrack.configs.paths import home
    from pixtrack.flows.cli.asking import confirm
    from pixtrack.flows.plain_text import say
    from pixtrack.tasks.datasets.removing import files_of_dataset, remove

    config = load_dataset(name)
    files = files_of_dataset(config, home())
    if not files:
        say(
            f"pixtrack: {config.name}: nothing is prepared or added, so nothing to remove", err=True
        )
        return
    runs = len(list((home().runs / config.name).glob("*/run.json")))
    for path in files:
        say(str(path))
    told = f"; its {runs} run(s) stay, and cannot be scored again without it" if runs else ""
    if not confirm(f"remove these of {config.name}{told}?", yes):
        say(f"{config.name}: kept")
        return
    remove(config, home())
    say(f"{config.name}: removed; unused images go with `pixtrack clean images`")
