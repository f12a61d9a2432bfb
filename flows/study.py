"""The flow `study`: models x datasets x prompts with one engine start a model, then compared."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.paths import home as data_home
from pixtrack.configs.schema import StudyConfig
from pixtrack.flows.cells import CellOutcome, run_cells
from pixtrack.flows.noted import NOTED
from pixtrack.flows.page_log import PAGE, report_lines
from pixtrack.flows.reported import beside
from pixtrack.tasks.cells import check_study
from pixtrack.tasks.comparison.task import compare_runs
from pixtrack.tasks.prefecting import reports
from pixtrack.tasks.runs.directory import RunDirectory, RunSummary
from pixtrack.tasks.runs.opening import Cell
from pixtrack.tasks.tracking import Recorder, default_recorder

logger = logging.getLogger(__name__)


@flow(name="study", flow_run_name="{path}", **NOTED)  # type: ignore[untyped-decorator]
def study(
    path: str = "sample_models",
    engine: dict[str, Any] | None = None,
    cluster: str | None = None,
) -> State[dict[str, Any]]:
    """Runs every cell of a study, skips what is answered, goes on past a failed cell, compares.

    Args:
        path: the study's name (sample_models), or a path to its file
        engine: options of vLLM's for every model that has files: {"data_parallel_size": 4}
        cluster: a Ray cluster whose nodes take the replicas of every such model: HOST:PORT, or auto

    Returns the cells with their headline scores, and the folder of the comparison.
    """
    report_lines(flow_run.get_id())
    return beside(lambda: _studied(path, engine, cluster))


def _studied(
    path: str, engine: dict[str, Any] | None, cluster: str | None
) -> State[dict[str, Any]]:
    config, asked = check_study(path, engine, cluster)
    home, recorder = data_home(), default_recorder()
    PAGE.info("study %s: %d cells", config.name, len(asked))
    outcomes: list[CellOutcome] = []
    for _model, cells in groupby(asked, key=lambda cell: cell.model.name):
        outcomes += _run_model(list(cells), home, recorder)
    rows = [_row(outcome) for outcome in outcomes]
    reports.table(rows, "study-cells", config.title)
    result: dict[str, Any] = {"study": config.name, "cells": rows}
    done = [
        o.summary for o in outcomes if o.summary is not None and o.summary.status == "completed"
    ]
    per_dataset = Counter(summary.dataset for summary in done)
    runs = [RunDirectory(Path(s.run_dir)) for s in done if per_dataset[s.dataset] > 1]
    if runs:
        try:
            config_here = _with_its_baseline(config, done)
            result["comparison"] = compare_runs(config_here, runs, home, recorder)
            PAGE.info("%s", result["comparison"]["verdict"])
        except UserError as error:
            result["not_compared"] = str(error)
    failed = [row for row in rows if row["status"] != "completed"]
    reports.markdown(_note(config, result), "study", config.title)
    if failed:
        return Failed(message=f"{len(failed)} of {len(rows)} cells failed", data=result)
    if "not_compared" in result:
        return Failed(message=f"not compared: {result['not_compared']}", data=result)
    return Completed(data=result)


def _with_its_baseline(config: StudyConfig, done: Sequence[RunSummary]) -> StudyConfig:
    """The study, without its baseline where that model has no completed run to compare with."""
    model = config.baseline.partition("@")[0]
    if model in config.models and model not in {summary.model for summary in done}:
        logger.warning("the baseline %s has no completed run: compared with the first", model)
        return config.model_copy(update={"baseline": ""})
    return config


def _run_model(cells: list[Cell], home: Home, recorder: Recorder) -> list[CellOutcome]:
    """All cells of one model; a model that cannot run at all fails its cells, not the study."""
    try:
        return run_cells(cells, home, recorder)
    except Exception as error:
        return [CellOutcome(cell, failure=error) for cell in cells]


def _row(outcome: CellOutcome) -> dict[str, Any]:
    cell, summary = outcome.cell, outcome.summary
    headline = summary.metrics.get(summary.headline) if summary else None
    return {
        "model": cell.model.name,
        "dataset": cell.dataset.name,
        "prompt": cell.prompt.name,
        "status": summary.status if summary else "failed",
        "headline": cell.dataset.headline,
        "value": headline.value if headline else None,
        "ci95": list(headline.ci95) if headline and headline.ci95 else None,
        "n": summary.n if summary else 0,
        "error": outcome.error or (summary.message if summary else ""),
        "not_logged": outcome.not_logged,
        "run_dir": summary.run_dir if summary else "",
    }


def _note(config: StudyConfig, result: dict[str, Any]) -> str:
    why = result.get("not_compared", "No two completed runs to compare.")
    verdict = result.get("comparison", {}).get("markdown", why)
    return f"# {config.title}\n\n{config.question}\n\n{verdict}"
