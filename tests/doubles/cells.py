"""A cell of a study made in code: a model, a dataset and a prompt of a few fields."""

from __future__ import annotations

from typing import Any

from pixtrack.configs.schema import DatasetConfig, ModelConfig, PromptConfig
from pixtrack.tasks.runs.opening import Cell


def cell(**changes: Any) -> Cell:
    """`dataset`, `model` and `prompt` change fields of their configurations."""
    dataset = {
        "name": "papers", "title": "Papers", "source": {"kind": "sample"}, "metrics": ("anls",),
        "headline": "anls", "prompt": "p", "licence": "none",
    } | changes.pop("dataset", {})  # fmt: skip
    model = {
        "name": "m", "title": "M", "source": {"kind": "generated"}, "format": "mistral",
        "family": "pixtral", "parameters_billions": 1, "licence": "none",
    } | changes.pop("model", {})  # fmt: skip
    prompt = {
        "name": "p", "title": "P", "system": "Be exact.", "template": "{context}{question} Briefly.",
        "max_new_tokens": 8, "stop": ("\n",),
    } | changes.pop("prompt", {})  # fmt: skip
    return Cell(
        ModelConfig.model_validate(model),
        DatasetConfig.model_validate(dataset),
        PromptConfig.model_validate(prompt),
        **changes,
    )
