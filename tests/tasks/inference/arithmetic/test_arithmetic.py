"""The operations of each architecture, and the limit that they set."""

from pathlib import Path

import pytest

from pixtrack.configs.loading import load_model
from pixtrack.tasks.inference.arithmetic import (
    VISIONS,
    Arithmetic,
    Load,
    Rates,
    limit_samples_per_s,
)
from pixtrack.tasks.inference.arithmetic.model import Language
from pixtrack.tasks.inference.arithmetic.vision.llava_onevision import LlavaOnevisionVision
from pixtrack.tasks.inference.arithmetic.vision.pixtral import PixtralVision
from pixtrack.tasks.inference.arithmetic.vision.qwen2_5_vl import Qwen25Vision
from tests.doubles import tiny_models

PIXTRAL_12B = Arithmetic(
    Language(
        dim=5120, layers=40, heads=32, kv_heads=8, head_dim=128, inner=14336, vocabulary=131072
    ),
    PixtralVision(hidden=1024, inner=4096, layers=24, dim=5120),
    "pixtral",
)
PAGE = (1700, 2200)
RATES = Rates(798e12, 3.0e12, "", 8192, fp8_flops=1500e12)
LOAD = Load(4, 3264, PIXTRAL_12B.vision_flops([PAGE]), 22, 16)


def test_the_weights_of_pixtrals_layers_are_those_of_the_published_model() -> None:
    # 12.2 billion in all: less two embeddings of 0.67 and the vision encoder of 0.4.
    assert PIXTRAL_12B.language.layer_weights == pytest.approx(10.9e9, rel=0.01)
    assert PIXTRAL_12B.language.kv_bytes == 163_840


def test_prompt_operations_add_up_however_the_prompt_is_cut() -> None:
    attention = PIXTRAL_12B.language.attention_flops
    assert attention(2048) + attention(1238, before=2048) == pytest.approx(attention(3286))


def test_the_limit_of_one_h100_is_what_hand_arithmetic_gives() -> None:
    # 79 TFLOP an image at 798 TFLOP/s, 16 readings of 3,286 tokens' keys and values a
    # question, and its own 38 tokens.
    image = (3.8e12 + 2 * 10.9e9 * 3264 + 4 * 40 * 4096 * 3264**2 / 2) / 798e12
    question = 16 * 3286 * 163_840 / 3.0e12 + (22 + 16) * 2 * 10.9e9 / 798e12
    rough = 4 / (image + 4 * question)
    assert limit_samples_per_s(PIXTRAL_12B, LOAD, RATES) == pytest.approx(rough, rel=0.01)


def test_the_limit_in_fp8_runs_the_layers_alone_at_the_cards_fp8_rate() -> None:
    limit = limit_samples_per_s(PIXTRAL_12B, LOAD, RATES)
    faster = limit_samples_per_s(PIXTRAL_12B, LOAD, RATES, fp8=True)
    assert limit * 1.4 < faster < limit * 1500 / 798
    with pytest.raises(ValueError, match="fp8"):
        limit_samples_per_s(PIXTRAL_12B, LOAD, Rates(798e12, 3.0e12, "", 8192), fp8=True)


def test_prompts_without_images_have_a_limit() -> None:
    assert limit_samples_per_s(PIXTRAL_12B, Load(1, 0, 0, 22, 16), RATES) > 0


def arithmetic_of(model: str) -> Arithmetic:
    config = load_model(model)
    arithmetic = Arithmetic.of_dimensions(config.dimensions, config.family)
    assert arithmetic is not None
    return arithmetic


@pytest.mark.parametrize(
    ("model", "tflop"),
    [("pixtral-12b", 3.8), ("qwen2.5-vl-7b", 32.6), ("llava-onevision-7b", 20.7)],
)
def test_what_a_page_costs_each_architectures_vision_encoder(model: str, tflop: float) -> None:
    arithmetic = arithmetic_of(model)
    assert arithmetic.vision_flops([PAGE]) / 1e12 == pytest.approx(tflop, rel=0.01)
    three = 3 * arithmetic.vision.image_flops(*PAGE)
    assert arithmetic.vision_flops([PAGE] * 3) == pytest.approx(three)


def test_patches_and_tiles_are_counted_as_the_processors_do() -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    assert PixtralVision.of_files(sizes, 128).patches(*PAGE) == 50 * 64
    assert Qwen25Vision.of_files(sizes, 128).patches(*PAGE) == 122 * 158
    assert LlavaOnevisionVision.of_files(sizes, 128).tiles(*PAGE) == 31


@pytest.mark.parametrize("family", VISIONS)
@pytest.mark.parametrize("size", [(1, 1), (40, 3000), (3000, 40), (100, 100), (9000, 9000)])
def test_an_image_of_any_size_costs_something(family: str, size: tuple[int, int]) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    assert 0 < VISIONS[family].of_files(sizes, 128).image_flops(*size) < 1e15


@pytest.mark.parametrize("kind", ["mistral_pixtral", "hf_pixtral", "qwen2_5_vl", "llava_onevision"])
def test_a_models_own_files_say_what_it_computes(kind: str, tmp_path: Path) -> None:
    _, family = tiny_models.FAMILIES[kind]
    arithmetic = Arithmetic.of(tiny_models.write(kind, tmp_path), family)
    assert arithmetic is not None
    assert arithmetic.language.layer_weights > 0
    assert arithmetic.vision_flops([(300, 200)]) > 0


def test_a_family_or_files_that_nobody_knows_have_no_arithmetic(tmp_path: Path) -> None:
    assert Arithmetic.of(tmp_path, "pixtral") is None
    (tmp_path / "config.json").write_text('{"vision_config": {}}', encoding="utf-8")
    assert Arithmetic.of(tmp_path, "qwen2_5_vl") is None
    assert Arithmetic.of(tmp_path, "another") is None
