from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_model, names
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download.generated import write_random_pixtral
from pixtrack.tasks.environment.reading import model_shape
from pixtrack.tasks.environment.shape import ModelShape

# The sizes in published config.json files, as far as these leave nothing to defaults.
PIXTRAL_HF = {
    "model_type": "llava",
    "text_config": {
        "model_type": "mistral",
        "hidden_size": 5120,
        "head_dim": 128,
        "num_hidden_layers": 40,
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "vocab_size": 131072,
        "max_position_embeddings": 1024000,
    },
    "vision_config": {
        "model_type": "pixtral",
        "head_dim": 64,
        "image_size": 1024,
        "patch_size": 16,
    },
}
QWEN = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 128000,
    "vision_config": {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "patch_size": 14,
        "spatial_merge_size": 2,
    },
}


def config(directory: Path, data: dict[str, Any]) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(data))
    return directory


def test_pixtral_in_hf_format_has_the_sizes_of_the_mistral_format(tmp_path: Path) -> None:
    """Its config.json leaves heads, vision layers and more to transformers' defaults."""
    shape = model_shape(None, config(tmp_path, PIXTRAL_HF))
    expected = model_shape(load_model("pixtral-12b"), None)
    assert (shape.layers, shape.heads, shape.kv_heads, shape.head_dim) == (40, 32, 8, 128)
    assert (shape.image_patches, shape.image_tokens) == (4096, 4160)
    assert shape.parameters == pytest.approx(expected.parameters, rel=0.005)


def test_qwen_merges_four_patches_into_a_token(tmp_path: Path) -> None:
    shape = model_shape(None, config(tmp_path, QWEN))
    assert shape.image_tokens == 16384 or shape.image_tokens == 12_845_056 // 784
    assert shape.image_patches == 4 * shape.image_tokens
    assert shape.kv_bytes_per_token() == 28 * 4 * 128 * 2 * 2


def test_a_smaller_image_limit_of_the_processor_counts(tmp_path: Path) -> None:
    config(tmp_path, QWEN)
    (tmp_path / "preprocessor_config.json").write_text('{"max_pixels": 784000}')
    assert model_shape(None, tmp_path).image_tokens == 1000


def test_compressed_weights_are_counted_with_their_scales(tmp_path: Path) -> None:
    quantised = {
        **PIXTRAL_HF,
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 128}}},
        },
    }
    shape = model_shape(None, config(tmp_path, quantised))
    assert shape.linear_bits == 4 + 16 / 128
    assert shape.quantization == "compressed-tensors w4"


def test_weights_in_the_files_are_counted_exactly(tmp_path: Path) -> None:
    write_random_pixtral(tmp_path)
    shape = model_shape(None, tmp_path)
    path = tmp_path / "consolidated.safetensors"
    with path.open("rb") as file:
        (header,) = struct.unpack("<Q", file.read(8))
    assert shape.exact_weights
    assert 2 * shape.parameters == path.stat().st_size - 8 - header


def test_a_config_without_sizes_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json: has no 'num_attention_heads'"):
        model_shape(None, config(tmp_path, {"model_type": "unheard_of"}))


@pytest.mark.parametrize(
    "name", [n for n in names(ModelConfig) if load_model(n).dimensions is not None]
)
def test_every_configured_model_adds_up(name: str) -> None:
    """Parameters and size in a model's file agree with its dimensions."""
    model = load_model(name)
    shape = model_shape(model, None)
    assert shape.parameters / 1e9 == pytest.approx(model.parameters_billions, rel=0.12)
    linear = shape.linear_parameters * shape.linear_bits / 8
    size = linear + 2 * (shape.embedding_parameters + shape.vision_parameters)
    if model.size_gb >= 1:
        assert size / 1e9 == pytest.approx(model.size_gb, rel=0.12)


PARAMS: dict[str, Any] = {
    "n_layers": 4, "dim": 64, "hidden_dim": 128, "n_heads": 4, "vocab_size": 100,
    "vision_encoder": {"hidden_size": 32, "image_size": 64, "patch_size": 16, "intermediate_size": 64,
                       "num_hidden_layers": 2},
}  # fmt: skip
ODD: list[Any] = ["x", ["x"], [3], "3", None, [], {}, -1.5, 10**400, True, "", 0]


def plans(shape: ModelShape) -> None:
    """What planning does with the numbers of a shape: they are numbers, and there are layers."""
    sizes = (shape.parameters, shape.kv_bytes_per_token(), shape.image_tokens, shape.image_patches)
    assert all(-(-size // 3) >= 0 for size in sizes)
    assert shape.layers > 0 and shape.heads > 0


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("key", [*PARAMS, "head_dim", "n_kv_heads", "max_position_embeddings"])
def test_a_value_of_any_kind_in_a_models_files_is_no_traceback(
    tmp_path: Path, key: str, value: Any
) -> None:
    (tmp_path / "params.json").write_text(json.dumps(PARAMS | {key: value}))
    try:
        plans(model_shape(None, tmp_path))
    except UserError as error:
        assert "params.json" in str(error) and len(str(error)) < 400


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("key", [*QWEN, "text_config", "quantization_config"])
def test_nor_is_one_in_hugging_faces_config(tmp_path: Path, key: str, value: Any) -> None:
    config(tmp_path, QWEN | {key: value})
    try:
        plans(model_shape(None, tmp_path))
    except UserError as error:
        assert "config.json" in str(error) and len(str(error)) < 400
