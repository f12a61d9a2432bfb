"""`pixtrack describe`: free questions on images, with any model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixtrack.flows.cli.engine_options import (
    ClusterOption,
    DataParallelOption,
    EngineOption,
    TensorParallelOption,
    given_options,
)
from pixtrack.flows.plain_text import json_text, say


def register(app: typer.Typer) -> None:
    """Adds `describe`."""
    app.command("describe")(describe_images)


def describe_images(
    images: Annotated[
        list[Path], typer.Argument(help="Image files: shown together, in this order.")
    ],
    question: Annotated[
        list[str] | None,
        typer.Option("--question", "-q", help="What to ask; may be given several times."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A name in configs/models, ORG/NAME[@REV], a folder; default: what fits.",
        ),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="Longest answer, in tokens.")
    ] = 256,
    temperature: Annotated[
        float, typer.Option(min=0, metavar="T", help="0: the most likely answer.")
    ] = 0.0,
    engine: EngineOption = None,
    tensor_parallel: TensorParallelOption = None,
    data_parallel: DataParallelOption = None,
    cluster: ClusterOption = None,
    each: Annotated[bool, typer.Option(help="Ask about each image by itself.")] = False,
    model_dir: Annotated[
        Path | None, typer.Option(help="A directory that already holds the model's files.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Answer free questions on one or several images.

    Runs through the same engines as an evaluation; nothing is scored or logged.

    Example: `pixtrack describe page.png --model pixtral-12b -q "Who signed?" -tp 4`
    """
    from pixtrack.configs.paths import home
    from pixtrack.configs.schema import Sampling
    from pixtrack.flows.bars import BYTES, bar
    from pixtrack.tasks.cells import resolve_model
    from pixtrack.tasks.download import fetch_model
    from pixtrack.tasks.inference.describing import describe

    def fetch() -> Path | None:
        if not config.source.has_files:
            return None
        with bar(config.name, BYTES) as shown:
            return fetch_model(config, home(), model_dir, shown.update)

    config, reason = resolve_model(
        model, given_options(engine, tensor_parallel, data_parallel), cluster
    )
    if reason:
        say(f"pixtrack: no model named, so {config.name}: {reason}", err=True)
    described = describe(
        config,
        home(),
        images,
        tuple(question or ("Describe this image.",)),
        Sampling(max_tokens=max_tokens, temperature=temperature),
        each=each,
        fetch=fetch,
    )
    if as_json:
        print(json_text([d.as_dict() for d in described]))
    else:
        for one in described:
            say(one.text())
    if all(d.answer.failed for d in described):
        raise typer.Exit(1)
