"""What a run directory says, in MLflow's words: parameters, metrics, tags, description, tables.

Pure functions of the run's files: no mlflow here, so that what is logged can be read and tested
without a store.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from pixtrack.configs.errors import UserError
from pixtrack.tasks.runs.directory import RunDirectory, RunRecord, RunSummary
from pixtrack.tasks.runs.selection import scope_words

CONTENT_VERSION = 3
"""Raised when this module logs a run differently: finished runs are then logged again by `sync`."""

_NOISE = {
    *("title", "description", "card", "notes", "note", "reason", "prompt_reason", "comparison"),
    *("published_scores", "licence", "memory", "by", "aliases", "questions", "images", "size_gb"),
    *("parameters_billions", "trust_remote_code_reason", "max_failed_fraction"),
}
"""Keys that describe rather than decide: in config.json, not among the parameters."""

_MAX_PARAM = 500
"""Characters of a parameter's value; MLflow's table becomes unreadable long before its limit."""

SHORT_DIGEST = 12
"""Characters of a dataset's digest in MLflow's dataset columns; the whole one is a parameter."""

RUN_TAG = "mlflow.pixtrack.run"
"""Our own bookkeeping: MLflow's interface keeps tags that start with `mlflow.` out of sight."""


@dataclass(frozen=True)
class RunContent:
    """The files of a run directory that tracking reads."""

    run: RunDirectory
    record: RunRecord
    summary: RunSummary | None
    config: dict[str, Any]

    @classmethod
    def read(cls, run: RunDirectory) -> RunContent:
        """Reads the small files; the scores are read when they are asked for."""
        record = run.read_record()
        if record is None:
            raise UserError(f"{run.path}: not a run directory (no run.json)")
        return cls(run, record, run.read_summary(), run.read_config())

    @cached_property
    def scores(self) -> pd.DataFrame | None:
        """scores.parquet, one row a sample by index; None for a run that was not scored."""
        if not self.run.scores_file.exists():
            return None
        return pd.read_parquet(self.run.scores_file)

    @cached_property
    def environment(self) -> list[dict[str, Any]]:
        """The checks of environment.json; [] where there is none that can be read."""
        if not self.run.environment_file.exists():
            return []
        try:
            found = json.loads(self.run.environment_file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            return []  # damaged, and of no use to anybody else
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    @cached_property
    def metric_names(self) -> tuple[str, ...]:
        """The run's metrics, headline first: the order of every table's columns."""
        names = list(self.record.metrics) or sorted(self.summary.metrics if self.summary else ())
        rest = [name for name in names if name != self.record.headline]
        return (self.record.headline, *rest)

    @property
    def run_name(self) -> str:
        """`Pixtral-12B-2409 · guide`: what the run is called in every view."""
        record = self.record
        parts = [record.model_title or record.model, record.prompt]
        if scope := scope_words(record.limit, record.selection):
            parts.append(scope)
        if record.imported_from:
            parts.append("imported")
        return " · ".join(parts)

    @property
    def dataset_digest(self) -> str:
        """The dataset's digest as MLflow takes it."""
        return self.record.dataset_digest[:SHORT_DIGEST] or "unknown"

    def digest(self) -> str:
        """sha256 over the run's outcome: equal digests, and MLflow has it already.

        What a mere look at a finished run changes (host, commit, environment report, speed of an
        invocation that asked nothing) is left out.
        """
        hashed = hashlib.sha256(f"{CONTENT_VERSION}\n".encode())
        record = self.record.model_dump(
            mode="json",
            exclude={
                *("mlflow_run_id", "mlflow_tracking_uri", "prefect_flow_run_id"),
                *("status", "message", "host", "git_commit"),
            },
        )
        summary = (
            self.summary.model_dump(mode="json", exclude={"mlflow_run_id", "samples_per_s"})
            if self.summary
            else None
        )
        hashed.update(json.dumps([record, summary, self.config], sort_keys=True).encode())
        for file in (self.run.scores_file, self.run.journal_file):
            hashed.update(file.name.encode())
            if file.exists():
                with file.open("rb") as stream:
                    hashed.update(hashlib.file_digest(stream, "sha256").digest())
        return hashed.hexdigest()


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested keys joined by dots; descriptions, empty values and long texts' tails left out."""
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if key in _NOISE or value is None or value in ("", (), [], {}):
            continue
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            flat[name] = text if len(text) <= _MAX_PARAM else f"{text[: _MAX_PARAM - 1]}…"
    return flat


def params(content: RunContent) -> dict[str, str]:
    """Everything that can change an answer, flattened, and the fingerprint over it."""
    record = content.record
    decided = flatten(record.identity or content.config)
    options = content.config.get("model", {}).get("engine", {})
    for key, value in flatten(options, "engine.options.").items():
        decided.setdefault(key, value)  # those that say how much of the machine is used
    # After the sections of the same names, whose leaves are `model.revision` and so on.
    decided |= {"model": record.model, "prompt": record.prompt, "dataset": record.dataset}
    decided["dataset_digest"] = record.dataset_digest
    decided["fingerprint"] = record.fingerprint[:16]
    if record.limit:
        decided["limit"] = str(record.limit)
    return decided


def metrics(content: RunContent) -> dict[str, float]:
    """Metric name to value; scores on the 0-100 scale.

    `headline` first of all, so that runs of several datasets have one column in common; then
    `<dataset>/<metric>` with `_ci_low`, `_ci_high` and `_stderr`, `counts/…` (also of how answers
    were read: `counts/reasoning/never_reached_an_answer`), `figures/…` and `perf/…`. A value that
    could not be computed is left out, never sent as 0.
    """
    summary = content.summary
    if summary is None:
        return {}
    dataset = content.record.dataset
    found: dict[str, float | None] = {}
    headline = summary.metrics.get(summary.headline)
    if headline:
        found["headline"] = headline.value
        if headline.ci95:
            found["headline_ci_low"], found["headline_ci_high"] = headline.ci95
    for name, interval in summary.metrics.items():
        key = f"{dataset}/{name}"
        found[key] = interval.value
        if interval.ci95:
            found[f"{key}_ci_low"], found[f"{key}_ci_high"] = interval.ci95
        found[f"{key}_stderr"] = interval.stderr
    found |= {
        "counts/questions": summary.n,
        "counts/answered": summary.answered,
        "counts/failed": summary.failed,
        "counts/truncated": summary.truncated,
        "counts/without_gold": summary.without_gold or None,
        "counts/images_left_out": content.record.pages.get("images"),
        "perf/samples_per_s": samples_per_second(content),
        "perf/prompt_tokens": summary.prompt_tokens or None,
        "perf/output_tokens": summary.output_tokens or None,
        "perf/cached_share": summary.cached_share,
        "perf/inference_seconds": summary.inference_seconds or None,
    }
    for owner, states in summary.states.items():
        found |= {f"counts/{owner}/{_key(state)}": one.count for state, one in states.items()}
    for owner, figures in summary.figures.items():
        found |= {f"figures/{owner}/{_key(name)}": value for name, value in figures.items()}
    return {
        # MLflow shows every digit it gets; summary.json keeps them all.
        key: round(float(value), 4 if key == "perf/cached_share" else 2)
        for key, value in found.items()
        if value is not None and math.isfinite(value)
    }


def _key(words: str) -> str:
    """The words as part of a metric's name, in which MLflow takes no commas or percent signs."""
    return re.sub(r"\W+", "_", words).strip("_")


def samples_per_second(content: RunContent) -> float | None:
    """Questions a second over all invocations of the run that asked any; None for imported runs.

    The summary's own figure stands for its last invocation, which a resumed run may have spent
    asking nothing.
    """
    asked = sum(int(one.get("asked") or 0) for one in content.record.invocations)
    seconds = sum(
        float(one.get("seconds") or 0) for one in content.record.invocations if one.get("asked")
    )
    if asked and seconds:
        return asked / seconds
    return content.summary.samples_per_s if content.summary else None


def tags(content: RunContent) -> dict[str, str]:
    """What people filter runs by, and what MLflow itself reads."""
    record = content.record
    engine = record.engine
    version = str(engine.get("version") or "")
    found = {
        "model": record.model,
        "dataset": record.dataset,
        "prompt": record.prompt,
        "weights": record.weights,
        "engine": str(engine.get("name") or ("imported" if record.imported_from else "")),
        "engine_version": version,
        "engine_platform": str(engine.get("platform") or ""),
        "gpu": "" if record.imported_from else gpu_name(record.host, content.environment),
        "host": str(record.host.get("hostname") or record.host.get("name") or ""),
        "scope": scope_words(record.limit, record.selection) or "full",
        "git_commit": record.git_commit,
        "imported_from": record.imported_from,
        "prefect.flow_run_id": record.prefect_flow_run_id or "",
        RUN_TAG: record.name,
        "mlflow.user": _user(),
        "mlflow.source.name": "pixtrack import" if record.imported_from else "pixtrack eval",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": record.git_commit,
    }
    return {key: value for key, value in found.items() if value}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


def gpu_name(host: Mapping[str, Any], environment: Sequence[Mapping[str, Any]] = ()) -> str:
    """The host's accelerators in a few words: `2 x NVIDIA H100`, or `none`.

    From the record's host where it names them (`gpus`), else from the environment report, whose
    checks `card 0`, `card 1`, … begin their detail with the card's name.
    """
    cards = host.get("gpus") or host.get("gpu") or ()
    names = [cards] if isinstance(cards, str) else [str(card) for card in cards]
    if not names:
        reported = [one for one in environment if str(one.get("name", "")).startswith("card ")]
        names = [str(one.get("detail", "")).partition(",")[0] or "GPU" for one in reported]
    if not names:
        return "none"
    kinds = {name: names.count(name) for name in names}
    return ", ".join(f"{n} x {name}" if n > 1 else name for name, n in kinds.items())
