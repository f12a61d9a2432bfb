"""A run's row on the leaderboard, and the published scores that stand beside it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset, load_model
from pixtrack.configs.schema import DatasetConfig, ModelConfig
from pixtrack.tasks.comparison.align import failed_rows
from pixtrack.tasks.comparison.load import LoadedRun
from pixtrack.tasks.comparison.result import Published, RunRow, Speed
from pixtrack.tasks.scoring.beside import lines_beside
from pixtrack.tasks.scoring.metrics import METRICS
from pixtrack.tasks.scoring.uncertainty import interval_of_codes

C = TypeVar("C", DatasetConfig, ModelConfig)

logger = logging.getLogger(__name__)


def run_row(
    run: LoadedRun,
    key: str,
    label: str,
    table: pd.DataFrame,
    scores: NDArray[np.float64],
    images: NDArray[np.intp],
) -> RunRow:
    """The row of a run over the common questions: `table` its rows, `scores` what counts."""
    record = run.record
    metrics = [name for name in record.metrics if name in table.columns]
    return RunRow(
        key=key,
        label=label,
        model=record.model,
        model_title=run.title,
        prompt=record.prompt,
        name=record.name,
        run_dir=str(run.directory.path),
        fingerprint=record.fingerprint,
        created=record.created,
        status=record.status,
        weights=record.weights,
        limit=record.limit,
        engine=engine_words(run),
        imported_from=record.imported_from,
        mlflow_run_id=record.mlflow_run_id,
        score=interval_of_codes(scores, images),
        metrics={
            name: interval_of_codes(table[name].to_numpy(dtype=float), images) for name in metrics
        },
        failed=int(failed_rows(table).sum()),
        truncated=int((table["finish_reason"] == "length").sum()),
        beside=tuple(lines_beside(run.summary.states, run.summary.figures)),
        speed=speed_of(run),
    )


def engine_words(run: LoadedRun) -> str:
    """`vllm 0.32.0 on cuda`, or what stands in its place."""
    if run.record.imported_from:
        return "imported"
    engine = run.record.engine
    words = " ".join(str(engine[key]) for key in ("name", "version") if engine.get(key))
    platform = engine.get("platform")
    return f"{words} on {platform}" if words and platform else words


def speed_of(run: LoadedRun) -> Speed:
    """Speed over all invocations that asked anything, and what 1,000 questions cost."""
    record, summary = run.record, run.summary
    asking = [one for one in record.invocations if one.get("asked") and one.get("seconds")]
    asked = sum(int(one["asked"]) for one in asking)
    seconds = sum(float(one["seconds"]) for one in asking)
    options = {
        **(record.identity.get("engine", {}).get("options") or {}),
        **(record.engine.get("options") or {}),
        **(record.engine.get("arguments") or {}),
    }
    parallel = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    devices = int(np.prod([int(options.get(name) or 1) for name in parallel]))
    devices *= int(record.engine.get("replicas") or 1)
    return Speed(
        samples_per_s=asked / seconds if asked else None,
        device=str(record.engine.get("platform") or ""),
        devices=devices,
        device_seconds_per_1000=1000 * devices * seconds / asked if asked else None,
        output_tokens_per_question=summary.output_tokens / summary.answered
        if summary.answered and summary.output_tokens
        else None,
        cached_share=summary.cached_share,
    )


def metric_title(name: str) -> str:
    """The metric as tables show it."""
    return METRICS[name].title if name in METRICS else name


def dataset_title(run: LoadedRun) -> str:
    """The dataset as people write it."""
    config = dataset_config(run.record.dataset, [run])
    return config.title if config else run.record.dataset


def published_scores(dataset: str, runs: Sequence[LoadedRun]) -> tuple[Published, ...]:
    """What others published on this dataset: the dataset's file first, then the models' files."""
    found: dict[tuple[str, float, str], Published] = {}
    config = dataset_config(dataset, runs)
    names = {dataset, *(config.aliases if config else ())}
    entries = [(score.model, score) for score in (config.published_scores if config else ())]
    for run in runs:
        model = model_config(run)
        if model:
            entries += [
                (score.model or model.title, score)
                for score in model.published_scores
                if score.dataset in names
            ]
    for model_name, score in entries:
        found.setdefault(
            (model_name.lower(), score.value, score.by),
            Published(
                model=model_name,
                value=score.value,
                metric=metric_title(score.metric) if score.metric else "",
                by=score.by,
                note=score.note,
            ),
        )
    return tuple(sorted(found.values(), key=lambda score: -score.value))


def dataset_config(name: str, runs: Sequence[LoadedRun]) -> DatasetConfig | None:
    """The dataset's file as it is now, else as the run kept it, else None."""
    try:
        return load_dataset(name)
    except UserError:
        kept = next((run.config["dataset"] for run in runs if run.config.get("dataset")), None)
        return _kept(DatasetConfig, kept)


def model_config(run: LoadedRun) -> ModelConfig | None:
    """The model's file as it is now, else as the run kept it, else None."""
    try:
        return load_model(run.record.model)
    except UserError:
        return _kept(ModelConfig, run.config.get("model"))


def _kept(kind: type[C], values: Any) -> C | None:
    """What a run kept of its configuration; None where another version of pixtrack wrote it so that
    this one cannot read it: the comparison only says less about it then.
    """
    try:
        return kind.model_validate(values) if values else None
    except ValidationError as error:
        logger.warning("a run's kept configuration is left out: %s", error.errors()[0]["msg"])
        return None
