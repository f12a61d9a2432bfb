"""Resolves names to cells: the model, dataset and prompt of a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
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
from pixtrack.configs.paths import home
from pixtrack.configs.schema import (
    DatasetConfig,
    ModelConfig,
    PromptConfig,
    Settings,
    StudyConfig,
)
from pixtrack.tasks.environment import find_model
from pixtrack.tasks.runs.opening import Cell
from pixtrack.tasks.runs.selection import Selection
from pixtrack.tasks.scoring.metrics import functions_of
from pixtrack.tasks.scoring.postprocess import check_steps

logger = logging.getLogger(__name__)


def resolve_cell(
    dataset: str,
    model: ModelConfig,
    prompt: str | None = None,
    limit: int | None = None,
    settings: Settings | None = None,
    selection: Selection | None = None,
) -> Cell:
    """Makes the cell of a dataset, a model and a prompt.

    Args:
        dataset: its name
        model: the model
        prompt: its name; None or "default": the dataset's own
        limit: ask only the first questions
        settings: how answers are drawn, before what the prompt says
        selection: which questions to ask, in place of `limit`

    Raises:
        UserError: a name is unknown (of the dataset, the prompt, one of the dataset's metrics, or
            one of the prompt's post-processing steps); the message has the known names
    """
    config = load_dataset(dataset)
    functions_of(config)
    chosen = load_prompt(config.prompt if prompt in (None, "default") else str(prompt))
    chosen = chosen.for_dataset(config.name)
    check_steps(chosen.postprocess)
    _check_shots(chosen, config)
    settings = settings or Settings()
    if settings.seed is not None and not settings.temperature:
        logger.warning("--seed changes nothing at temperature 0: give --temperature too")
    return Cell(model, config, settings.of_prompt(chosen), limit, settings, selection=selection)


def _check_shots(prompt: PromptConfig, dataset: DatasetConfig) -> None:
    """Raises UserError where the prompt's worked examples would come from what is asked."""
    if prompt.shots is None or not prompt.shots.dataset:
        return
    if load_dataset(prompt.shots.dataset).name == dataset.name:
        raise UserError(
            f"prompt {prompt.name}: shots.dataset: {dataset.name} is the dataset that is asked: name "
            "another split, or a qa_file"
        )


def resolve_cells(
    name: str,
    model: ModelConfig,
    prompt: str | None = None,
    limit: int | None = None,
    settings: Settings | None = None,
    selection: Selection | None = None,
) -> list[Cell]:
    """The cell of a dataset, or the cells of a group's datasets in the group's order.

    The arguments are those of `resolve_cell`, which says what is raised; UserError also for a group
    whose file cannot be read.
    """
    members = dataset_names(name)
    if selection is not None and selection.questions and len(members) > 1:
        raise UserError(f"--questions names questions of one dataset, and {name} is a group")
    return [resolve_cell(member, model, prompt, limit, settings, selection) for member in members]


def resolve_model(
    name: str | None, given: Mapping[str, Any] | None = None, cluster: str | None = None
) -> tuple[ModelConfig, str]:
    """The model of that name; without a name, the largest Pixtral that fits on this machine.

    Args:
        name: the model's name, or None
        given: engine options of the command, which override the model's own
        cluster: the Ray cluster that the command names; without a model's name, the cards of its
            nodes count instead of this machine's

    Returns:
        the model, and why it was chosen ("" for a named one)
    """
    if name:
        return with_options(find_model(name), given, cluster), ""
    from pixtrack.tasks.environment import choose_model

    if cluster:
        from pixtrack.tasks.inference.clusters import cards_of

        chosen, reason = choose_model(cards_of(cluster, home()))
    else:
        chosen, reason = choose_model()
    return with_options(find_model(chosen), given, cluster), reason


def with_options(
    model: ModelConfig, given: Mapping[str, Any] | None, cluster: str | None = None
) -> ModelConfig:
    """The model with these engine options, which override its own and those of any recipe.

    `cluster` is where its replicas run; None: where its file says. Raises UserError for an
    endpoint, and for options that are not allowed in a model's file.
    """
    if not given and cluster is None:
        return model
    if not model.source.has_files:
        raise UserError(
            f"--engine, -tp and --cluster are for an engine of ours; {model.name} is an endpoint, "
            "whose server has its own"
        )
    try:
        given = given or {}
        where = model.cluster if cluster is None else cluster
        weights = "random" if given.get("load_format") == "dummy" else model.weights
        return ModelConfig.model_validate(
            {**model.model_dump(), "given": dict(given), "weights": weights, "cluster": where}
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"--engine: {reason}") from None


def check_study(
    path: str | Path, given: Mapping[str, Any] | None = None, cluster: str | None = None
) -> tuple[StudyConfig, list[Cell]]:
    """The study of that name, or in that file, and its cells. Needs no engine and no server.

    `given` and `cluster` are for all of its models, but those behind endpoints.

    Raises UserError, naming the file and the key, for whatever would fail later: unknown names,
    and a baseline that is none of the study's models.
    """
    file = study_file(path)
    config = load_study(file)
    try:
        cells = [_on(cell, given, cluster) for cell in cells_of(config)]
        _check_baseline(config.baseline, cells)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    return config, cells


def _on(cell: Cell, given: Mapping[str, Any] | None, cluster: str | None) -> Cell:
    if not cell.model.source.has_files:
        return cell
    return replace(cell, model=with_options(cell.model, given, cluster))


def _check_baseline(baseline: str, cells: list[Cell]) -> None:
    """Raises UserError unless the baseline is one of the study's models, with one of its
    prompts.
    """
    model, _, prompt = baseline.partition("@")
    models = {name.lower() for cell in cells for name in (cell.model.name, cell.model.title)}
    if model and model.lower() not in models:
        raise unknown_name("baseline", model, {cell.model.name for cell in cells})
    prompts = {cell.prompt.name for cell in cells}
    if prompt and prompt not in {*prompts, "default"}:
        raise unknown_name("prompt of the baseline", prompt, prompts)


def cells_of(config: StudyConfig) -> list[Cell]:
    """The study's cells, model by model. Raises UserError for any unknown name.

    A cell that two names lead to (`default` and the name of that prompt; a dataset, its alias and a
    group with it) is included once.
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
