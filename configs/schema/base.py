"""What every configuration is: frozen, and refusing unknown keys."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Self  # typing has it from Python 3.11 on


class Config(BaseModel):
    """Base of every configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    def read_from(self, folder: Path) -> Self:  # noqa: ARG002
        """The configuration with the relative paths of a file in that folder made absolute."""
        return self


class PublishedScore(Config):
    """A score that somebody else published: shown beside ours, never mixed in."""

    value: float = Field(description="0-100")
    metric: str = ""
    dataset: str = Field("", description="dataset key; needed in a model's file")
    model: str = Field(
        "", description="model as its publisher names it; needed in a dataset's file"
    )
    by: str = Field(description="who measured it, and where it is published")
    note: str = ""
