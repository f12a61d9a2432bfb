"""The flow `evaluate`: one model on a dataset or a group of datasets, from files to logged runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State
from pydantic import Field

from pixtrack.configs.loading import is_group
from pixtrack.configs.paths import home as data_home
from pixtrack.configs.schema import Settings
from pixtrack.flows import choices
from pixtrack.flows.cells import CellOutcome, run_cells
from pixtrack.flows.noted import NOTED
from pixtrack.flows.page_log import PAGE, report_lines
from pixtrack.flows.reported import beside
from pixtrack.tasks.cells import resolve_cells, resolve_model
from pixtrack.tasks.prefecting import reports
from pixtrack.tasks.runs.opening import Cell
from pixtrack.tasks.runs.selection import Selection, scope_words, selection_of
from pixtrack.tasks.tracking import default_recorder


def _first_name() -> str:
    """What the flow run is called in Prefect's lists until its names are resolved."""
    asked = flow_run.parameters
    return f"{asked.get('model') or 'best Pixtral here'} · {asked.get('dataset')}"


def run_name(dataset: str, model: str, prompt: str | None, cells: Sequence[Cell]) -> str:
    """What it is called then: `pixtral-12b · docvqa_val · setup_guide · first 200`.

    A group whose datasets have prompts of their own shows none.
    """
    prompts = {cell.prompt.name for cell in cells}
    shown = prompts.pop() if len(prompts) == 1 else (prompt or "")
    selection = cells[0].selection
    scope = selection.words if selection else scope_words(cells[0].limit, {})
    parts = [model, dataset, shown, scope]
    return " · ".join(part for part in parts if part)


@flow(name="evaluate", flow_run_name=_first_name, validate_parameters=True, **NOTED)  # type: ignore[untyped-decorator]
def evaluate(
    dataset: Annotated[str, Field(json_schema_extra=choices.datasets())] = "sample",
    model: Annotated[str, Field(json_schema_extra=choices.models)] | None = None,
    prompt: Annotated[str, Field(json_schema_extra=choices.prompts)] | None = None,
    limit: Annotated[int | None, Field(ge=1)] = None,
    model_dir: str | None = None,
    engine: dict[str, Any] | None = None,
    temperature: Annotated[float | None, Field(ge=0)] = None,
    max_tokens: Annotated[int | None, Field(ge=1)] = None,
    system: str | None = None,
    seed: Annotated[int | None, Field(ge=0)] = None,
    cluster: str | None = None,
    sample: Annotated[int | None, Field(ge=1)] = None,
    questions: list[str] | None = None,
) -> State[dict[str, Any]]:
    """Evaluates a model on a dataset: check, fetch, prepare, ask, score, log, report.

    A group's datasets are asked one after the other, with one engine start; one that fails does not
    keep the others from being asked.

    Args:
        dataset: a name in configs/datasets, or in configs/groups
        model: a name in configs/models; empty: the largest Pixtral that this machine holds
        prompt: a name in configs/prompts; empty: each dataset's own
        limit: ask the first so many questions (of each dataset) only
        model_dir: a directory that already holds the model's files
        engine: options of vLLM for this run, which override the model's: {"quantization": "fp8"},
            {"data_parallel_size": 4} for four replicas
        temperature: of the draw of an answer; empty: 0, the likeliest answer
        max_tokens: output limit; empty: the prompt's
        system: system prompt; empty: the prompt's
        seed: of the draw of answers, at a temperature above 0, and of `sample`
        cluster: a Ray cluster whose nodes take the replicas: HOST:PORT, or auto for that of the
            machine on which the flow runs
        sample: ask so many questions, drawn in whole image groups, types mixed as in the dataset
        questions: ask the questions with these ids

    Returns the run's summary; of a group, what `group_outcome` says. Ends as failed where too many
    samples failed, or a dataset of the group could not be asked.
    """
    report_lines(flow_run.get_id())
    selection = selection_of(limit, sample, seed, questions)
    settings = Settings(
        temperature=temperature,
        max_tokens=max_tokens,
        system=system,
        seed=seed if temperature or sample is None else None,
    )
    return beside(
        lambda: _evaluated(
            dataset, model, prompt, limit, model_dir, engine, settings, cluster, selection
        )
    )


def _evaluated(
    dataset: str,
    model: str | None,
    prompt: str | None,
    limit: int | None,
    model_dir: str | None,
    engine: dict[str, Any] | None,
    settings: Settings,
    cluster: str | None,
    selection: Selection | None,
) -> State[dict[str, Any]]:
    config, reason = resolve_model(model, engine, cluster)
    if reason:
        PAGE.info("no model named, so %s: %s", config.name, reason)
    cells = resolve_cells(dataset, config, prompt, limit, settings, selection)
    reports.rename_flow_run(flow_run.get_id(), run_name(dataset, config.name, prompt, cells))
    directory = Path(model_dir) if model_dir else None
    outcomes = run_cells(cells, data_home(), default_recorder(), directory)
    if is_group(dataset):
        return group_outcome(dataset, outcomes)
    (outcome,) = outcomes
    if outcome.failure is not None:
        raise outcome.failure
    assert outcome.summary is not None
    summary = _summary(outcome)
    if outcome.summary.status == "failed":
        return Failed(message=outcome.summary.message, data=summary)
    return Completed(data=summary)


def group_outcome(name: str, outcomes: Sequence[CellOutcome]) -> State[dict[str, Any]]:
    """How the evaluation of a group ended: `group`, its name, `runs`, the summaries of the runs
    that came to an end, and `not_run`, the other datasets with the reason.
    """
    runs = [_summary(outcome) for outcome in outcomes if outcome.summary is not None]
    others = [outcome for outcome in outcomes if outcome.summary is None]
    not_run = [{"dataset": o.cell.dataset.name, "error": o.error} for o in others]
    data = {"group": name, "runs": runs, "not_run": not_run}
    failed = [run["dataset"] for run in runs if run["status"] == "failed"]
    failed += [one["dataset"] for one in not_run]
    if failed:
        message = f"{len(failed)} of {len(outcomes)} datasets failed: {', '.join(failed)}"
        return Failed(message=message, data=data)
    return Completed(data=data)


def _summary(outcome: CellOutcome) -> dict[str, Any]:
    assert outcome.summary is not None
    return outcome.summary.model_dump(mode="json") | {"not_logged": outcome.not_logged}
