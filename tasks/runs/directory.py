"""A run on disk: its fingerprint, its directory and its record.

RUNS/DATASET/RUN_NAME/ holds run.json (this record), config.json, environment.json,
requests.jsonl, answers.jsonl (the journal), scores.parquet, summary.json and engine.log.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import PromptConfig
from pixtrack.tasks.files import write_atomically

logger = logging.getLogger(__name__)


class Interval(BaseModel):
    """A metric's value with its uncertainty, all on the 0-100 scale."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float | None
    """None where nothing could be scored."""
    stderr: float | None
    """Clustered by image; None where one group gives no estimate."""
    ci95: tuple[float, float] | None
    stderr_naive: float | None = None
    """As if questions on one image were independent: shown so that people see the difference."""
    n: int = 0
    """How many samples it is the mean of."""


class Count(BaseModel):
    """How many of the scored answers something is true of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int
    of: int

    @property
    def percent(self) -> float:
        """The share, 0-100."""
        return 100 * self.count / self.of if self.of else 0.0


class RunSummary(BaseModel):
    """The run's outcome: what `--json` prints (summary.json)."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    run_dir: str
    model: str
    dataset: str
    prompt: str
    n: int
    answered: int
    failed: int
    truncated: int
    headline: str
    metrics: dict[str, Interval]
    by: dict[str, dict[str, dict[str, Interval]]] = Field(
        default_factory=dict, description="breakdown -> group -> metric -> interval"
    )
    states: dict[str, dict[str, Count]] = Field(
        default_factory=dict,
        description="post-processing step or metric -> how answers were read (guessed, not "
        "parsed, never reached an answer) -> how many; states that no answer has are left out",
    )
    figures: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="metric -> what is shown beside its score -> value"
    )
    asked_twice: int = 0
    """Questions that this invocation asked a second replica, because the first one died."""
    samples_per_s: float | None
    """Questions asked by this invocation over the time that took; None where none was asked."""
    cached_share: float | None = None
    """Prompt tokens served from the prefix cache."""
    refused: int = 0
    """Of the failed ones: refused for good, by the engine (too long) or by the model itself."""
    without_gold: int = 0
    """Answered questions whose gold is not published: they have no score."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    inference_seconds: float = 0.0
    """Over all invocations that answered questions of this run."""
    weights: Literal["trained", "random"] = "trained"
    mlflow_run_id: str | None = None
    status: Literal["completed", "failed"] = "completed"
    message: str = ""
    metric_versions: dict[str, int] = Field(default_factory=dict)
    """`Metric.version` of what made these numbers; different versions are not compared."""
    history: list[dict[str, Any]] = Field(default_factory=list)
    """Scores that were replaced, as `pixtrack rescore` does: when (`scored`, UTC), why (`reason`),
    and the former values (`metrics`)."""


class RunRecord(BaseModel):
    """run.json: what identifies a run and where it stands."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    fingerprint: str
    """sha256 over `identity`: everything that can change an answer."""
    identity: dict[str, Any]
    dataset: str
    dataset_digest: str
    model: str
    model_title: str = ""
    prompt: str
    limit: int | None
    """How many questions it asks, where it does not ask all: the first ones, or `selection`'s."""
    selection: dict[str, Any] = Field(default_factory=dict)
    """How its questions were chosen (`sample` and `seed`, or `questions`: their ids), and which
    rows they are (`indices`); {} for all, and for the first ones."""
    headline: str
    metrics: tuple[str, ...]
    weights: Literal["trained", "random"] = "trained"
    created: str
    """UTC, ISO 8601."""
    status: Literal["running", "completed", "failed", "cancelled"] = "running"
    message: str = ""
    engine: dict[str, Any] = Field(default_factory=dict)
    """Name, version, platform and options of the engine that answered; {} before it started."""
    host: dict[str, Any] = Field(default_factory=dict)
    git_commit: str = ""
    mlflow_run_id: str | None = None
    mlflow_tracking_uri: str | None = None
    prefect_flow_run_id: str | None = None
    imported_from: str = ""
    """The file of an imported run; "" for our own."""
    pages: dict[str, Any] = Field(default_factory=dict)
    """Where the dataset chooses pages: its rule (`choice`, `most`, `max_model_len`), how many
    `questions` were not shown all of their images, and how many `images` that are; {} elsewhere."""
    note: str = ""
    """What its maker has to say of it (`pixtrack runs note`)."""
    tags: tuple[str, ...] = ()
    archived: bool = False
    """Whether lists and comparisons pass it over unless it is named."""
    own_code: dict[str, str] = Field(default_factory=dict)
    """Metrics and post-processing steps of the user's own by which it was scored last: reference
    (`/place/my_metric.py:score`) to the sha256 of the file."""
    invocations: list[dict[str, Any]] = Field(default_factory=list)
    """Each time questions were asked: started and ended (UTC), asked, seconds.

    With `status`: `killed`, one that noted nothing itself and was reconstructed from the journal;
    `taken over`, not asked but copied, `answers` of them, from the run that `from` names."""


def fingerprint(identity: dict[str, Any]) -> str:
    """sha256 of the canonical JSON of everything that can change an answer."""
    canonical = json.dumps(identity, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def run_name(
    model: str,
    prompt: str,
    digest: str,
    limit: int | None,
    selection: Mapping[str, Any] | None = None,
) -> str:
    """A run's folder name: model--prompt[--first20]--fingerprint.

    A sample is `--sample20-seed0`; named questions are `--questions20-` and a digest of which.
    """
    part = f"--first{limit}" if limit else ""
    if selection and "sample" in selection:
        part = f"--sample{limit}-seed{selection.get('seed', 0)}"
    elif selection:
        which = hashlib.sha256(json.dumps(selection["indices"]).encode()).hexdigest()[:8]
        part = f"--questions{limit}-{which}"
    return f"{model}--{prompt}{part}--{digest[:12]}"


class RunDirectory:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, home: Home, dataset: str, name: str) -> RunDirectory:
        """The directory of a run by dataset and run name, made if it is not there."""
        path = home.runs / dataset / name
        path.mkdir(parents=True, exist_ok=True)
        return cls(path)

    record_file = property(lambda self: self.path / "run.json")
    config_file = property(lambda self: self.path / "config.json")
    environment_file = property(lambda self: self.path / "environment.json")
    requests_file = property(lambda self: self.path / "requests.jsonl")
    journal_file = property(lambda self: self.path / "answers.jsonl")
    scores_file = property(lambda self: self.path / "scores.parquet")
    summary_file = property(lambda self: self.path / "summary.json")
    engine_log = property(lambda self: self.path / "engine.log")

    def read_record(self) -> RunRecord | None:
        """The record, or None for a new run."""
        if not self.record_file.exists():
            return None
        try:
            return RunRecord.model_validate_json(self.record_file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"{self.record_file}: damaged run record ({' '.join(str(error).split())[:200]}); "
                "nothing that was answered is lost: remove this file, and the command that made "
                "the run goes on with the answers beside it"
            ) from None

    def write_record(self, record: RunRecord) -> None:
        """Replaces the record, whole or not at all."""
        write_atomically(self.record_file, record.model_dump_json(indent=2))

    def read_config(self) -> dict[str, Any]:
        """What config.json holds: model, dataset and prompt as they were; {} where there is none.

        Raises UserError where it cannot be read.
        """
        if not self.config_file.is_file():
            return {}
        try:
            config = json.loads(self.config_file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{self.config_file}: not valid JSON ({reason}); the command that made the run "
                "writes this file anew"
            ) from None
        return config if isinstance(config, dict) else {}

    def read_prompt(self, dataset: str) -> PromptConfig | None:
        """The prompt of config.json, as it is for that dataset.

        None where the run kept none: predictions of an unknown prompt that were imported. Raises
        UserError where it cannot be read.
        """
        try:
            kept = self.read_config().get("prompt")
            return PromptConfig.model_validate(kept).for_dataset(dataset) if kept else None
        except UserError:
            raise
        except (ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{self.config_file}: the run's prompt cannot be read ({reason}); the command that "
                "made the run writes this file anew"
            ) from None

    def read_summary(self) -> RunSummary | None:
        """The summary of the last finished invocation, or None.

        A damaged one counts as none, with a warning: it is made anew from the answers by the next
        command that scores the run.
        """
        if not self.summary_file.exists():
            return None
        try:
            text = self.summary_file.read_text(encoding="utf-8")
            summary = RunSummary.model_validate_json(text)
        except ValueError:
            logger.warning(
                "%s: damaged; it is made anew from the answers by `pixtrack rescore %s`, or when "
                "the run's own command runs again",
                self.summary_file,
                self.path.name,
            )
            return None
        # A data home may have been moved since: the directory is where it was read.
        return summary.model_copy(update={"run_dir": str(self.path)})

    def write_summary(self, summary: RunSummary) -> None:
        """Replaces the summary, whole or not at all."""
        write_atomically(self.summary_file, summary.model_dump_json(indent=2))
