"""What Prefect's form offers: the schema by which its server also refuses what is mistyped."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import validate

from pixtrack.configs.loading import names
from pixtrack.configs.schema import DatasetConfig, DatasetGroup, ModelConfig, PromptConfig
from pixtrack.flows.evaluate import evaluate, run_name
from pixtrack.tasks.cells import resolve_cells, resolve_model
from pixtrack.tasks.runs.selection import Selection

SCHEMA = evaluate.parameters.model_dump(exclude_none=True)


def refused(**parameters: Any) -> bool:
    """Whether Prefect's server would refuse the parameters."""
    return bool(list(validate(parameters, SCHEMA, raise_on_error=False)))


@pytest.mark.parametrize("parameter", ["dataset", "model", "prompt"])
def test_a_mistyped_name_is_refused_and_every_known_one_is_taken(parameter: str) -> None:
    kinds = {
        "dataset": (DatasetConfig, DatasetGroup), "model": (ModelConfig,), "prompt": (PromptConfig,)
    }  # fmt: skip
    known = [name for kind in kinds[parameter] for name in names(kind)]
    assert len(known) > 2
    assert not [name for name in known if refused(**{parameter: name})]
    for typo in (f"{known[0]}x", known[0].upper(), "", " "):
        assert refused(**{parameter: typo}), typo


@pytest.mark.parametrize(
    "parameters",
    [
        {}, {"dataset": "vqav2_val"}, {"model": None, "prompt": None}, {"prompt": "default"},
        {"model": "mistralai/Pixtral-12B-2409@abc"}, {"model": "./my-model/"}, {"limit": 20},
    ],
)  # fmt: skip
def test_what_is_no_name_of_a_file_is_still_taken(parameters: dict[str, Any]) -> None:
    assert not refused(**parameters)


@pytest.mark.parametrize(
    ("dataset", "prompt", "limit", "name"),
    [
        ("sample", None, None, "pixtral-nano · sample · plain"),
        ("sample", "setup_guide", 20, "pixtral-nano · sample · setup_guide · first 20"),
        ("text_rich", "plain", 5, "pixtral-nano · text_rich · plain · first 5"),
    ],
)
def test_a_flow_run_is_called_by_what_it_asks(
    dataset: str, prompt: str | None, limit: int | None, name: str
) -> None:
    model, _ = resolve_model("pixtral-nano")
    assert (
        run_name(dataset, model.name, prompt, resolve_cells(dataset, model, prompt, limit)) == name
    )


def test_a_flow_run_on_a_sample_says_so() -> None:
    model, _ = resolve_model("pixtral-nano")
    cells = resolve_cells("sample", model, selection=Selection(sample=9, seed=2))
    called = run_name("sample", model.name, None, cells)
    assert called == "pixtral-nano · sample · plain · sample of 9, seed 2"
