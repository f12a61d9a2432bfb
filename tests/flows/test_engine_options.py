"""`--engine` and `-tp`: read from the command line, before the model's own and any recipe's."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_model
from pixtrack.configs.schema import ModelConfig
from pixtrack.flows.cli.engine_options import given_options
from pixtrack.flows.cli.main import app
from pixtrack.tasks.cells import resolve_model
from pixtrack.tasks.environment import plan_memory
from tests.doubles.machines import h100, mr_v100


def test_values_are_read_as_yaml_and_dashes_are_taken() -> None:
    given = given_options(
        ["gpu-memory-utilization=0.8", "quantization=fp8", "enforce_eager=true", "a={b: 1}"], 2, 3
    )
    assert given == {
        "gpu_memory_utilization": 0.8,
        "quantization": "fp8",
        "enforce_eager": True,
        "a": {"b": 1},
        "tensor_parallel_size": 2,
        "data_parallel_size": 3,
    }


@pytest.mark.parametrize("bad", ["quantization", "=fp8", "quantization="])
def test_what_is_no_option_is_named(bad: str) -> None:
    with pytest.raises(UserError, match=f"--engine {bad}: expected KEY=VALUE"):
        given_options([bad])


def test_they_stand_before_the_models_own_and_a_recipes() -> None:
    model, _ = resolve_model("pixtral-large-w4a16", {"max_model_len": 2048})
    plan = plan_memory(model, None, mr_v100(8))
    assert plan.engine_options["max_model_len"] == 2048
    assert (plan.tensor_parallel, plan.pipeline_parallel) == (2, 4)


def test_what_can_change_an_answer_makes_another_run_and_what_cannot_does_not() -> None:
    def identity(**given: object) -> dict[str, object]:
        model, _ = resolve_model("pixtral-12b", given)
        return plan_memory(model, None, h100()).answer_options

    assert identity(quantization="fp8") != identity()
    assert identity(gpu_memory_utilization=0.8, max_num_seqs=64) == identity()
    # Longer questions are refused, and answers cut off where it ends.
    assert identity(max_model_len=2048) != identity()
    assert identity(tensor_parallel_size=1, pipeline_parallel_size=1) == identity()


@pytest.mark.parametrize(
    "bad",
    [
        *("max_model_len=8k", "data_parallel_size=many", "tensor_parallel_size=-1"),
        *("data_parallel_size=1.5", "kv_cache_memory_bytes=4e9", "max_num_seqs=true"),
        *("gpu_memory_utilization=high", "gpu_memory_utilization=80"),
    ],
)
def test_a_size_that_is_no_number_is_told_before_any_plan(bad: str) -> None:
    with pytest.raises(UserError, match=f"--engine: {bad.partition('=')[0]}: expected a .*number"):
        resolve_model("pixtral-12b", given_options([bad]))


def test_weights_that_vllm_makes_up_are_called_random() -> None:
    assert resolve_model("pixtral-12b", {"load_format": "dummy"})[0].weights == "random"


def test_an_endpoint_takes_none_and_the_models_name_is_not_one() -> None:
    with pytest.raises(UserError, match="endpoint is an endpoint"):
        resolve_model("endpoint", {"quantization": "fp8"})
    with pytest.raises(UserError, match=r"engine\.model is set from the model's source"):
        resolve_model("pixtral-12b", {"model": "other"})
    with pytest.raises(UserError, match="trust_remote_code"):
        resolve_model("pixtral-12b", {"trust_remote_code": True})


def test_without_options_the_model_is_as_its_file_says() -> None:
    assert resolve_model("pixtral-12b", {})[0] == load_model("pixtral-12b")


def test_describe_takes_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def describe(config: ModelConfig, *_: Any, **__: Any) -> list[Any]:
        given.append(config.given)
        return []

    monkeypatch.setattr("pixtrack.tasks.inference.describing.describe", describe)
    words = ["--model", "pixtral-nano", "--engine", "max_num_seqs=4", "-tp", "2", "-dp", "3"]
    CliRunner().invoke(app, ["describe", "page.png", *words])
    assert given == [{"max_num_seqs": 4, "tensor_parallel_size": 2, "data_parallel_size": 3}]
