"""Reads a finished run back from its directory: record, summary and the table of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pixtrack.configs.errors import UserError
from pixtrack.configs.references import short_name
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord, RunSummary

COLUMNS = (
    "index",
    "question_id",
    "image",
    "image_path",
    "width",
    "height",
    "question",
    "answers",
    "question_type",
    "answer_type",
    "output",
    "prediction",
    "finish_reason",
    "error",
)
"""What every scores.parquet holds, before one float column per metric."""


@dataclass(frozen=True)
class LoadedRun:
    """One scored run. `scores` has a row a sample, sorted by and unique in `index`."""

    directory: RunDirectory
    record: RunRecord
    summary: RunSummary
    scores: pd.DataFrame
    config: dict[str, Any]
    """config.json: model, dataset, prompt as they were; {} where the run kept none."""

    @property
    def title(self) -> str:
        """The model as people write it."""
        return self.record.model_title or self.record.model

    @property
    def postprocess(self) -> tuple[str, ...] | None:
        """The steps from raw output to prediction; None where the run did not keep them."""
        prompt = self.config.get("prompt")
        steps = prompt.get("postprocess") if isinstance(prompt, dict) else None
        return None if steps is None else tuple(self._identified(step) for step in steps)

    def _identified(self, step: str) -> str:
        """The step's name; of one of the user's own with what its file held, wherever it lay."""
        digest = self.record.own_code.get(step)
        return f"{short_name(step)} (file {digest[:12]})" if digest else step

    def prompt_policy(self) -> dict[str, Any]:
        """How questions were put and answers read: `key` to value, for equality."""
        policy: dict[str, Any] = {}
        for part in ("prompt", "sampling"):
            value = self.record.identity.get(part)
            policy.update(value if isinstance(value, dict) else {part: value})
        if policy.get("template") is None:
            policy["prompt"] = self.record.prompt
        policy.pop("name", None)  # the words count, not what they are called
        return {**policy, "postprocess": self.postprocess}


def load_run(directory: RunDirectory) -> LoadedRun:
    """The run at `directory`; UserError where it is unscored or its files do not fit together."""
    record = directory.read_record()
    if record is None:
        raise UserError(
            f"{directory.path}: no run directory (it holds no run.json): `pixtrack runs` lists the runs"
        )
    summary = directory.read_summary()
    if not directory.scores_file.exists() or summary is None:
        raise UserError(
            f"{record.name}: has no scores yet (status {record.status}); "
            "run the same `pixtrack eval` again to finish it, or `pixtrack rescore`"
        )
    try:
        scores = pd.read_parquet(directory.scores_file)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{directory.scores_file}: cannot be read ({error}); make it again with "
            f"`pixtrack rescore {record.name}`"
        ) from None
    missing = [name for name in COLUMNS if name not in scores.columns]
    if missing:
        raise UserError(
            f"{directory.scores_file}: lacks the column {missing[0]}; make it again with "
            f"`pixtrack rescore {record.name}`"
        )
    scores = scores.sort_values("index", kind="stable").reset_index(drop=True)
    if scores["index"].duplicated().any():
        twice = scores.loc[scores["index"].duplicated(), "index"].iloc[0]
        raise UserError(f"{directory.scores_file}: sample {twice} is in it twice")
    return LoadedRun(directory, record, summary, scores, directory.read_config())
