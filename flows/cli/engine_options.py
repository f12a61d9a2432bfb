"""`--engine KEY=VALUE`, `-tp N`, `-dp N` and `--cluster`: options of vLLM for one command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

EngineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--engine",
        metavar="KEY=VALUE",
        help="An option of vLLM's, before the model's own (quantization=fp8); may be repeated.",
    ),
]
TensorParallelOption = Annotated[
    int | None,
    typer.Option(
        "-tp", "--tensor-parallel-size", min=1, metavar="N", help="Cards to split the model over."
    ),
]
DataParallelOption = Annotated[
    int | None,
    typer.Option(
        "-dp",
        "--data-parallel-size",
        min=1,
        metavar="N",
        help="Copies of the model that answer at once, each on cards of its own.",
    ),
]

ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="HOST:PORT",
        help="A Ray cluster whose nodes take the replicas (auto: the one of this machine); "
        "-dp says how many, default: as many as it holds.",
    ),
]


def given_options(
    options: Sequence[str] | None,
    tensor_parallel: int | None = None,
    data_parallel: int | None = None,
) -> dict[str, Any]:
    """The options of a command line; values are read as YAML (true, 0.8, {a: 1}, text).

    Raises UserError for one that is not KEY=VALUE.
    """
    import yaml

    from pixtrack.configs.errors import UserError

    given: dict[str, Any] = {}
    for option in options or ():
        key, _, text = option.partition("=")
        if not key.strip() or not text.strip():
            raise UserError(f"--engine {option}: expected KEY=VALUE, as in max_model_len=4096")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        given[key.strip().replace("-", "_")] = value
    if tensor_parallel is not None:
        given["tensor_parallel_size"] = tensor_parallel
    if data_parallel is not None:
        given["data_parallel_size"] = data_parallel
    return given
