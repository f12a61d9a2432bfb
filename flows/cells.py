"""From names to cells: which model, dataset and prompt a run is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from configs.errors import UserError
from configs.loading import load_dataset, load_model, load_prompt
from configs.schema import EndpointModel, ModelConfig
from tasks.inference.opening import Cell


def resolve_cell(
    dataset: str, model: ModelConfig, prompt: str | None = None, limit: int | None = None
) -> Cell:
    """The cell of those names; `prompt` None or "default" is the dataset's own.

    Raises UserError for an unknown name, with the known ones and the nearest.
    """
    config = load_dataset(dataset)
    chosen = load_prompt(config.prompt if prompt in (None, "default") else str(prompt))
    return Cell(model, config, chosen.for_dataset(config.name), limit)


def resolve_model(
    name: str | None, given: Mapping[str, Any] | None = None
) -> tuple[ModelConfig, str]:
    """The model of that name; without one, the best Pixtral that this machine holds, and why.

    `given` are engine options of the command: they stand before the model's own.
    """
    if name:
        return with_options(load_model(name), given), ""
    from tasks.environment import choose_model

    chosen, reason = choose_model()
    return with_options(load_model(chosen), given), reason


def with_options(model: ModelConfig, given: Mapping[str, Any] | None) -> ModelConfig:
    """The model with these engine options before its own and before any recipe's.

    Raises UserError for an endpoint, and for options that a model's file may not have either.
    """
    if not given:
        return model
    if isinstance(model.source, EndpointModel):
        raise UserError(
            f"--engine and -tp are for an engine on this machine; {model.name} is an endpoint, whose "
            "server has its own"
        )
    try:
        weights = "random" if given.get("load_format") == "dummy" else model.weights
        return ModelConfig.model_validate(
            {**model.model_dump(), "given": dict(given), "weights": weights}
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"--engine: {reason}") from None
