"""A study's file, and the settings with which questions are asked."""

from __future__ import annotations

from pydantic import Field

from pixtrack.configs.schema.base import Config
from pixtrack.configs.schema.prompts import PromptConfig


class StudyConfig(Config):
    """A study: models × datasets × prompts (experiments/NAME.yaml)."""

    name: str
    title: str = Field(description="as people write it")
    question: str = Field("", description="what the study is to answer")
    models: tuple[str, ...] = Field(
        min_length=1, description="names in configs/models, ORG/NAME of the hub, or directories"
    )
    datasets: tuple[str, ...] = Field(min_length=1, description="datasets, or groups of them")
    prompts: tuple[str, ...] = Field(
        ("default",), min_length=1, description="`default`: each dataset's own"
    )
    limit: int | None = Field(None, ge=1)
    baseline: str = Field(
        "", description="model, or model@prompt, that the others are compared with"
    )


class Settings(Config):
    """Options of a command for generating answers, which override the prompt's. None: not given."""

    temperature: float | None = Field(None, ge=0, description="0: the likeliest answer")
    max_tokens: int | None = Field(None, ge=1, description="output limit, in tokens")
    system: str | None = Field(None, description='the system prompt; "": none')
    seed: int | None = Field(None, ge=0, description="of the draw, at a temperature above 0")

    def of_prompt(self, prompt: PromptConfig) -> PromptConfig:
        """The prompt with the output limit and the system prompt that are given here."""
        given = {"max_new_tokens": self.max_tokens, "system": self.system}
        changed = {name: value for name, value in given.items() if value is not None}
        return prompt.model_copy(update=changed) if changed else prompt


class Sampling(Config):
    """How an answer is generated: greedily by default, so that a question has one answer."""

    max_tokens: int = Field(ge=1)
    temperature: float = Field(0.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int = 0
    stop: tuple[str, ...] = ()
