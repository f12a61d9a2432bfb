"""The messages between a command and its inference child: JSON lines.

The child (`python -m pixtrack.tasks.inference.worker.main`) reads JSON objects, one a line, from
its standard input: first an EngineSpec, then any number of Jobs, as they become known. The end of
the input means that no more will come. So the engine can start while the dataset is still being
prepared, and one engine serves every dataset of a study. It writes Events to its standard output.

The child of a replica, one of several engines that share a run, gets Orders in place of Jobs: image
groups as it has room for them. It keeps no journal; its answers are Events.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pixtrack.configs.schema import Sampling


class Message(BaseModel):
    """Base of what crosses the pipe."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class EngineSpec(Message):
    """Which engine to start, on which model."""

    engine: str = Field(description="a row of pixtrack.tasks.inference.engines.ENGINES")
    model_dir: str = Field("", description="absolute; empty for an endpoint")
    format: Literal["mistral", "hf", "endpoint"]
    family: str
    options: dict[str, Any] = Field(
        default_factory=dict, description="vLLM's engine arguments, or the endpoint's settings"
    )
    max_images: int = 1
    replicas: tuple[tuple[str, ...], ...] = ()
    """One entry for each engine that answers at once: the cards that it gets, as
    CUDA_VISIBLE_DEVICES counts them; (): one engine on the cards that are visible."""
    takes: Literal["jobs", "orders"] = "jobs"
    """What the child is told after this: whole runs, or single image groups."""
    weights: Literal["files", "dummy"] = "files"
    """`dummy`: random weights made by the engine, for speed measurements only."""


class Job(Message):
    """The questions of one run."""

    job_id: str
    requests_path: str = Field(description="JSON lines of records.Request")
    journal_path: str = Field(description="answers.jsonl to append to")
    fingerprint: str
    sampling: Sampling


class Order(Message):
    """What a replica's child is told."""

    order: Literal["ask", "give_back"]
    """`ask` one image group; `give_back` so many groups that have not been begun."""
    group: int = 0
    requests: tuple[dict[str, Any], ...] = ()
    """Of records.Request as JSON; an index names one request for the child's whole life."""
    sampling: Sampling | None = None
    most: int = 0


class Event(Message):
    """What the child reports. Counts are of this job since the child took it up.

    A replica's child reports `begun` (a group goes to the engine: there is room for another one),
    `asked` (a question goes to it), `answer` and `given_back`, with `details` of what: `group`,
    `index`, an Answer as JSON, `groups`.
    """

    event: Literal[
        "starting",
        "ready",
        "progress",
        "job_done",
        "job_failed",
        "engine_failed",
        "closed",
        "begun",
        "asked",
        "answer",
        "given_back",
        "images_missing",
    ]
    job_id: str = ""
    message: str = ""
    remedy: str = ""
    done: int = 0
    total: int = 0
    failed: int = 0
    truncated: int = 0
    retried: int = 0
    """Requests that were sent again after a failure."""
    already_answered: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    images: int = 0
    started: str = ""
    """When the child took the job up: UTC, ISO 8601."""
    elapsed_seconds: float = 0.0
    details: dict[str, Any] = Field(default_factory=dict)
    """Of `ready`: the engine's capabilities, version and start times; of `job_done`: statistics of
    the schedule."""
