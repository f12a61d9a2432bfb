"""The flow `evaluate`: one model on one dataset, from files to an MLflow run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State
from pydantic import Field

from pixtrack.configs.paths import home as data_home
from pixtrack.flows.cells import resolve_cell, resolve_model
from pixtrack.flows.steps import run_cells


def _run_name() -> str:
    """What the flow run is called in Prefect's lists."""
    asked = flow_run.parameters
    return f"{asked.get('dataset')} · {asked.get('model') or 'best Pixtral here'}"


@flow(name="evaluate", flow_run_name=_run_name, validate_parameters=True)  # type: ignore[untyped-decorator]
def evaluate(
    dataset: str = "sample",
    model: str | None = None,
    prompt: str | None = None,
    limit: Annotated[int | None, Field(ge=1)] = None,
    model_dir: str | None = None,
    engine: dict[str, Any] | None = None,
) -> State[dict[str, Any]]:
    """Evaluates a model on a dataset: check, fetch, prepare, ask, score, log, report.

    Args:
        dataset: a name in configs/datasets
        model: a name in configs/models; empty: the largest Pixtral that this machine holds
        prompt: a name in configs/prompts; empty: the dataset's own
        limit: ask the first so many questions only
        model_dir: a directory that already holds the model's files
        engine: options of vLLM's for this run, before the model's own: {"quantization": "fp8"}

    Returns the run's summary. Ends as failed where too many samples failed.
    """
    config, _reason = resolve_model(model, engine)
    cell = resolve_cell(dataset, config, prompt, limit)
    (outcome,) = run_cells([cell], data_home(), Path(model_dir) if model_dir else None)
    assert outcome.summary is not None
    summary = outcome.summary.model_dump(mode="json") | {"not_logged": outcome.not_logged}
    if outcome.summary.status == "failed":
        return Failed(message=outcome.summary.message, data=summary)
    return Completed(data=summary)
