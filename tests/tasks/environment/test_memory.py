from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pixtrack.configs.engine_defaults import ENCODER_CACHE_SHARE
from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_model
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.environment import plan_for_model, plan_memory
from pixtrack.tasks.environment.cards import GIB
from tests.doubles.machines import h100, mr_v100, rtx_4090, t4, v100

# params.json of the published model: what a directory with it must be planned by.
PIXTRAL_12B = {
    "dim": 5120,
    "n_layers": 40,
    "head_dim": 128,
    "hidden_dim": 14336,
    "n_heads": 32,
    "n_kv_heads": 8,
    "vocab_size": 131072,
    "max_position_embeddings": 128000,
    "vision_encoder": {
        "hidden_size": 1024,
        "image_size": 1024,
        "max_image_size": 1024,
        "patch_size": 16,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
    },
}


@pytest.fixture
def pixtral() -> ModelConfig:
    return load_model("pixtral-12b")


def test_the_plan_agrees_with_what_an_h100_reported(pixtral: ModelConfig) -> None:
    """vLLM 0.24, Pixtral-12B in bfloat16: KV caches of so many tokens, in three settings."""
    assert plan_memory(pixtral, None, h100()).kv_tokens == pytest.approx(299_216, rel=0.02)
    options = {"gpu_memory_utilization": 0.92}
    plan = plan_memory(pixtral, options, h100())
    assert plan.fits
    assert plan.kv_bytes_per_token == 40 * 8 * 128 * 2 * 2
    assert plan.weight_bytes == pytest.approx(25.38e9, rel=0.005)
    assert plan.kv_tokens == pytest.approx(315_312, rel=0.05)
    many = plan_memory(pixtral, {**options, "max_num_batched_tokens": 16_384}, h100())
    assert many.kv_tokens == pytest.approx(290_496, rel=0.05)
    assert many.kv_tokens < plan.kv_tokens
    assert plan.notes == ()


def test_the_sum_is_what_it_says(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, h100())
    parts = plan.weight_bytes + plan.activation_bytes + plan.overhead_bytes + plan.kv_bytes
    assert parts == plan.budget_bytes
    assert plan.budget_bytes == int(plan.total_bytes * plan.utilization)
    assert plan.kv_tokens == plan.kv_bytes // plan.kv_bytes_per_token
    assert plan.images_in_flight == plan.kv_tokens // plan.request_tokens


def test_a_directory_is_planned_by_its_own_params(tmp_path: Path, pixtral: ModelConfig) -> None:
    (tmp_path / "params.json").write_text(json.dumps(PIXTRAL_12B))
    by_files = plan_memory(tmp_path, {"dtype": "bfloat16", "max_model_len": 32768}, h100())
    by_config = plan_memory(pixtral, None, h100())
    assert by_files.weight_bytes == pytest.approx(by_config.weight_bytes, rel=0.002)
    assert by_files.kv_bytes_per_token == by_config.kv_bytes_per_token
    assert by_files.request_tokens == by_config.request_tokens == 4160 + 512 + 256


def test_24_gb_are_planned_with_fp8_and_said(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, rtx_4090())
    assert plan.fits
    assert plan.engine_options["quantization"] == "fp8"
    assert "answers can differ" in plan.notes[0]
    assert plan.answer_options["quantization"] == "fp8"


def test_24_gb_are_refused_with_the_figures_where_fp8_is_ruled_out(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, {"quantization": None}, rtx_4090())
    assert not plan.fits
    assert "weights 23.6 GiB" in plan.refusal
    with pytest.raises(UserError, match="does not fit on 1 × NVIDIA GeForce RTX 4090"):
        plan.require()


def test_two_24_gb_cards_hold_the_full_weights(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, rtx_4090(2))
    assert plan.fits
    assert (plan.tensor_parallel, plan.quantization) == (2, "")
    assert plan.engine_options["tensor_parallel_size"] == 2


def test_a_v100_computes_in_float16_with_less_context(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, v100())
    assert plan.fits
    assert plan.engine_options["dtype"] == "float16"
    assert plan.request_tokens <= plan.engine_options["max_model_len"] < 32768
    assert plan.engine_options["max_model_len"] <= plan.kv_tokens
    assert any("float16" in note for note in plan.notes)


def test_a_t4_is_too_small_even_for_fp8(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, t4())
    assert "fp8 does not fit either" in plan.refusal


def test_pixtral_large_needs_several_cards() -> None:
    large = load_model("pixtral-large-w4a16")
    assert not plan_memory(large, None, rtx_4090(2)).fits
    plan = plan_memory(large, None, h100(4))
    assert plan.fits
    assert plan.tensor_parallel * plan.pipeline_parallel > 1


def test_the_vendors_recipes_are_used_on_the_vendors_cards(pixtral: ModelConfig) -> None:
    plan = plan_memory(load_model("pixtral-large-w4a16"), None, mr_v100(8))
    assert plan.fits
    assert (plan.tensor_parallel, plan.pipeline_parallel) == (2, 4)
    assert plan.engine_options["max_model_len"] == 4096
    assert plan.engine_options["max_num_seqs"] == 2
    assert any("such a sample is refused" in note for note in plan.notes)
    assert plan_memory(pixtral, None, mr_v100(4)).tensor_parallel == 4
    assert plan_memory(pixtral, None, mr_v100(2)).fits


def test_the_users_options_stand(pixtral: ModelConfig) -> None:
    options = {"tensor_parallel_size": 2, "max_model_len": 8192, "gpu_memory_utilization": 0.5}
    plan = plan_memory(pixtral, options, mr_v100(4))
    assert {key: plan.engine_options[key] for key in options} == options
    assert plan.engine_options["tokenizer_mode"] == "mistral"


def test_replicas_get_cards_of_their_own(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, {"data_parallel_size": 4}, h100(4))
    assert plan.replicas == (("0",), ("1",), ("2",), ("3",))
    assert "4 replicas" in plan.layout() and dict(plan.rows())["replicas"] == "4"
    assert plan.kv_tokens == plan_memory(pixtral, None, h100()).kv_tokens
    # To vLLM each is an engine by itself, and how many there are changes no answer.
    assert "data_parallel_size" not in plan.engine_options
    assert plan.answer_options == plan_memory(pixtral, None, h100()).answer_options


def test_replicas_that_are_split_themselves(pixtral: ModelConfig) -> None:
    options = {"data_parallel_size": 2, "tensor_parallel_size": 2}
    plan = plan_memory(pixtral, options, mr_v100(4))
    assert plan.replicas == (("0", "1"), ("2", "3"))
    assert plan_memory(pixtral, {"data_parallel_size": 2}, mr_v100(8)).fits


def test_more_replicas_than_cards_are_refused(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, {"data_parallel_size": 3}, h100(2))
    assert (
        "3 replicas with tensor × pipeline parallel 1 × 1 is asked for and 2 cards" in plan.refusal
    )


def test_the_card_that_others_hold_least_is_taken(pixtral: ModelConfig) -> None:
    busy, idle = h100(2)
    plan = plan_memory(pixtral, None, (replace(busy, free_bytes=10 * GIB), idle))
    assert plan.replicas == (("1",),)
    assert plan.notes == ()
    # A little that a desktop holds does not count.
    assert plan_memory(pixtral, None, (replace(busy, free_bytes=78 * GIB), idle)).replicas == ()


def test_a_dtype_that_the_user_insists_on_stands(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, {"dtype": "bfloat16"}, v100())
    assert plan.engine_options["dtype"] == "bfloat16"


def test_more_cards_than_are_here_are_refused(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, {"tensor_parallel_size": 4}, h100(2))
    assert "4 × 1 is asked for and 2 cards are here" in plan.refusal


def test_a_split_that_does_not_divide_the_heads_is_refused(pixtral: ModelConfig) -> None:
    assert not plan_memory(pixtral, {"tensor_parallel_size": 3}, h100(4)).fits


def test_memory_held_by_others_lowers_the_utilisation(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, h100(free_gib=50))
    assert plan.fits
    assert plan.utilization * plan.total_bytes <= plan.free_bytes
    assert "held by others" in plan.notes[0]
    full = plan_memory(pixtral, None, h100(free_gib=10))
    assert "other processes hold memory" in full.refusal


def test_known_prompts_in_place_of_the_guess(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, h100(), max_prompt_tokens=1000, max_tokens=24)
    assert plan.request_tokens == 1024
    assert plan.images_in_flight == plan.kv_tokens // 1024


def test_the_smaller_plan_is_smaller_and_there_is_only_one(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, h100())
    smaller = plan.smaller()
    assert smaller is not None
    assert smaller.budget_bytes < plan.budget_bytes
    assert smaller.engine_options["enforce_eager"] is True
    assert smaller.engine_options["max_num_batched_tokens"] >= 4160
    assert smaller.smaller() is None
    assert smaller.answer_options == plan.answer_options


def test_the_smaller_plan_counts_what_others_took_since(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, h100())
    smaller = plan.smaller(tuple(h100(free_gib=45)))
    assert smaller is not None
    assert smaller.budget_bytes < 44 * GIB
    assert plan.smaller(tuple(h100(free_gib=20))) is None  # fp8 would fit, and answer otherwise


def test_encoded_images_have_their_place_beside_the_budget(pixtral: ModelConfig) -> None:
    """vLLM does not count them: a card that is full to the brim would run out in mid-run."""
    for free in (79, 60, 40):
        plan = plan_memory(pixtral, None, h100(free_gib=free))
        assert plan.fits
        assert plan.budget_bytes + ENCODER_CACHE_SHARE * plan.total_bytes < plan.free_bytes
    assert dict(plan.rows())["encoded images"] == "up to 1.0 GiB, beside the budget"


def test_a_small_model_leaves_most_of_the_card_to_others() -> None:
    nano = load_model("pixtral-nano")
    plan = plan_memory(nano, None, h100())
    assert plan.fits
    assert plan.budget_bytes < 8 * GIB
    assert plan.kv_tokens >= 256 * plan.max_model_len
    asked = plan_memory(nano, {"gpu_memory_utilization": 0.5}, h100())
    assert asked.engine_options["gpu_memory_utilization"] == 0.5


def test_a_plan_that_does_not_fit_has_no_smaller_one(pixtral: ModelConfig) -> None:
    assert plan_memory(pixtral, None, t4()).smaller() is None


def test_the_cpu_engines_cache_comes_from_ram() -> None:
    random = load_model("pixtral-random")
    plan = plan_memory(random, None, (), ram_bytes=16 * GIB)
    assert plan.fits
    assert plan.platform == "CPU"
    assert plan.engine_options["kv_cache_memory_bytes"] == plan.kv_bytes < GIB
    assert plan.images_in_flight >= 64
    same = plan_memory(random, None, (), ram_bytes=12 * GIB)
    assert same.engine_options == plan.engine_options


def test_a_large_model_does_not_fit_in_little_ram(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, (), ram_bytes=16 * GIB)
    assert "does not fit in this machine's memory" in plan.refusal
    big = plan_memory(pixtral, None, (), ram_bytes=64 * GIB)
    assert big.fits
    assert any("minutes a question" in note for note in big.notes)


def test_the_users_own_cache_size_for_the_cpu_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "2")
    plan = plan_memory(load_model("pixtral-random"), None, (), ram_bytes=16 * GIB)
    assert plan.kv_bytes == 2 * GIB
    assert "kv_cache_memory_bytes" not in plan.engine_options


def test_a_model_without_dimensions_is_planned_after_its_download(
    pixtral: ModelConfig, tmp_path: Path
) -> None:
    unknown = pixtral.model_copy(update={"dimensions": None})
    with pytest.raises(UserError, match="add `dimensions` to the model's file"):
        plan_memory(unknown, None, h100())
    (tmp_path / "params.json").write_text(json.dumps(PIXTRAL_12B))
    assert plan_memory(unknown, None, h100(), directory=tmp_path).fits


def test_the_table_says_every_part_and_the_verdict(pixtral: ModelConfig) -> None:
    text = plan_memory(pixtral, None, h100()).table()
    for word in ("weights", "activations", "overhead", "KV cache", "max_model_len", "verdict"):
        assert word in text
    assert text.splitlines()[-1].endswith("fits")


def test_planning_for_this_machine_asks_its_cards(
    pixtral: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixtrack.tasks.environment import Accelerators, detection, versions

    monkeypatch.setattr(versions, "engine_platform", lambda: "cuda")
    monkeypatch.setattr(detection, "detect", lambda: Accelerators(cards=tuple(t4())))
    with pytest.raises(UserError, match="Tesla T4"):
        plan_for_model(pixtral)
    assert not plan_for_model(pixtral, refuse=False).fits


def test_how_many_images_a_prompt_holds_is_in_the_plan(pixtral: ModelConfig) -> None:
    plan = plan_memory(pixtral, None, h100())
    assert plan.images_a_prompt == 5 and ("images a prompt", "5") in plan.rows()
    short = plan_memory(pixtral, {"max_model_len": 16_384}, h100())
    # 4,160 tokens each, beside 768 for the question and the answer.
    assert short.images_a_prompt == (16_384 - 768) // 4160 == 3
    assert ("images a prompt", "3 of the largest size, of 5 (max_model_len)") in short.rows()
    one = plan_memory(pixtral.model_copy(update={"max_images": 1}), None, h100())
    assert not [row for row in one.rows() if row[0] == "images a prompt"]
