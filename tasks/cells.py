"""Resolves names to cells: the model, dataset and prompt of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.configs.loading import (
    dataset_names,
    load_dataset,
    load_prompt,
    load_study,
    study_file,
)
from pixtrack.configs.schema import ModelConfig, StudyConfig
from pixtrack.tasks.environment import find_model
from pixtrack.tasks.runs.opening import Cell
from pixtrack.tasks.scoring.metrics import functions_of
from pixtrack.tasks.scoring.postprocess import apply


def resolve_cell(
    dataset: str, model: ModelConfig, prompt: str | None = None, limit: int | None = None
) -> Cell:
    """The cell of those names; `prompt` None or "default" is the dataset's own.

    Raises UserError for an unknown name, with the known ones and the nearest; also of a metric
    that the dataset names, and of a step that the prompt does.
    """
    config = load_dataset(dataset)
    functions_of(config)
    chosen = load_prompt(config.prompt if prompt in (None, "default") else str(prompt))
    chosen = chosen.for_dataset(config.name)
    apply(chosen.postprocess, "")
    return Cell(model, config, chosen, limit)


def resolve_cells(
    name: str, model: ModelConfig, prompt: str | None = None, limit: int | None = None
) -> list[Cell]:
    """The cells of a dataset's name (one), or of a group's (one a member, in its order).

    Raises UserError as `resolve_cell` does, and for a group whose file cannot be read.
    """
    return [resolve_cell(member, model, prompt, limit) for member in dataset_names(name)]


def resolve_model(
    name: str | None, given: Mapping[str, Any] | None = None
) -> tuple[ModelConfig, str]:
    """The model of that name; without one, the best Pixtral that this machine holds, and why.

    `given` are engine options of the command: they override the model's own.
    """
    if name:
        return with_options(find_model(name), given), ""
    from pixtrack.tasks.environment import choose_model

    chosen, reason = choose_model()
    return with_options(find_model(chosen), given), reason


def with_options(model: ModelConfig, given: Mapping[str, Any] | None) -> ModelConfig:
    """The model with these engine options, which override its own and those of any recipe.

    Raises UserError for an endpoint, and for options that a model's file may not have either.
    """
    if not given:
        return model
    if not model.source.has_files:
        raise UserError(
            f"--engine and -tp are for an engine on this machine; {model.name} is an endpoint, "
            "whose server has its own"
        )
    try:
        weights = "random" if given.get("load_format") == "dummy" else model.weights
        return ModelConfig.model_validate(
            {**model.model_dump(), "given": dict(given), "weights": weights}
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"--engine: {reason}") from None


def check_study(path: str | Path) -> tuple[StudyConfig, list[Cell]]:
    """The study of that name, or in that file, and its cells. Needs no engine and no server.

    Raises UserError, naming the file and the key, for whatever would fail later: unknown names,
    and a baseline that is none of the study's models.
    """
    file = study_file(path)
    config = load_study(file)
    try:
        cells = cells_of(config)
        _check_baseline(config.baseline, cells)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    return config, cells


def _check_baseline(baseline: str, cells: list[Cell]) -> None:
    """A baseline is one of the study's models, by name or title, and its prompt one of theirs."""
    model, _, prompt = baseline.partition("@")
    models = {name.lower() for cell in cells for name in (cell.model.name, cell.model.title)}
    if model and model.lower() not in models:
        raise unknown_name("baseline", model, {cell.model.name for cell in cells})
    prompts = {cell.prompt.name for cell in cells}
    if prompt and prompt not in {*prompts, "default"}:
        raise unknown_name("prompt of the baseline", prompt, prompts)


def cells_of(config: StudyConfig) -> list[Cell]:
    """The study's cells, model by model. Raises UserError for any unknown name, before any work.

    A cell that two names stand for (`default` and the prompt that it is, a dataset, its alias and a
    group) is there once.
    """
    cells = [
        resolve_cell(dataset, find_model(model), prompt, config.limit)
        for model in dict.fromkeys(config.models)
        for name in config.datasets
        for dataset in dataset_names(name)
        for prompt in config.prompts
    ]
    named = {(cell.model.name, cell.dataset.name, cell.prompt.name): cell for cell in cells}
    return list(named.values())
