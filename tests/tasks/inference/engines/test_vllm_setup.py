"""What vLLM is told before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.tasks.inference.engines.vllm_setup import (
    checked_arguments,
    compute_in_engine_core,
    engine_arguments,
    kv_cache_tokens,
)
from pixtrack.tasks.runs.protocol import EngineSpec


def spec(**changes: object) -> EngineSpec:
    given = {
        "engine": "vllm",
        "model_dir": "/m",
        "format": "mistral",
        "family": "pixtral",
        **changes,
    }
    return EngineSpec.model_validate(given)


def test_a_mistral_model_is_read_in_mistrals_format_and_an_hf_model_as_vllm_finds() -> None:
    keys = ("tokenizer_mode", "config_format", "load_format")
    assert [engine_arguments(spec())[key] for key in keys] == ["mistral"] * 3
    assert not set(keys) & set(engine_arguments(spec(format="hf")))


def test_the_models_own_options_win_and_dummy_weights_win_over_them() -> None:
    options = {"seed": 5, "load_format": "auto", "limit_mm_per_prompt": {"image": 3}}
    arguments = engine_arguments(spec(options=options, max_images=2))
    assert (arguments["seed"], arguments["load_format"]) == (5, "auto")
    assert arguments["limit_mm_per_prompt"] == {"image": 3}
    assert engine_arguments(spec(max_images=2))["limit_mm_per_prompt"] == {"image": 2}
    assert engine_arguments(spec(options=options, weights="dummy"))["load_format"] == "dummy"


def test_an_option_that_vllm_does_not_have_is_named_with_the_nearest() -> None:
    @dataclass
    class Arguments:
        model: str = ""
        max_model_len: int = 0

    assert checked_arguments(Arguments, {"model": "/m"}) == Arguments("/m")
    with pytest.raises(UserError, match=r"'max_model_length'\. Did you mean 'max_model_len'"):
        checked_arguments(Arguments, {"max_model_length": 5})


def test_the_kv_cache_is_counted_by_vllm_or_from_its_blocks() -> None:
    cache = SimpleNamespace(kv_cache_size_tokens=None, num_gpu_blocks=10, block_size=16)
    assert kv_cache_tokens(cache) == 160
    cache.kv_cache_size_tokens = 120
    assert kv_cache_tokens(cache) == 120
    assert kv_cache_tokens(SimpleNamespace(num_gpu_blocks=None, block_size=16)) is None


@pytest.mark.parametrize(
    ("ranks", "arguments", "chosen"),
    [(1, {}, "uni"), (2, {}, "mp"), (1, {"distributed_executor_backend": "mp"}, "mp")],
)
def test_one_small_model_is_computed_in_the_engine_core_unless_told_otherwise(
    ranks: int, arguments: dict[str, str], chosen: str
) -> None:
    parallel = SimpleNamespace(world_size=ranks, distributed_executor_backend="mp")
    compute_in_engine_core(SimpleNamespace(parallel_config=parallel), arguments)
    assert parallel.distributed_executor_backend == chosen
