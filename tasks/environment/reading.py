"""Reads a model's sizes from its files, or from its configuration before they are downloaded."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from math import prod
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download import read_header
from pixtrack.tasks.environment.shape import ModelShape, computed, vision_parameters

VISION_MARKS = ("vision", "visual", "projector", "adapter", "image_newline", "patch_merger")
"""A weight whose name has one of these belongs to the image side."""
EMBEDDING_MARKS = ("embed_tokens", "tok_embeddings", "lm_head", "output.weight")
LARGEST = 10**15
"""No number of a model is larger."""
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
OTHERS = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}


def model_shape(config: ModelConfig | None, directory: Path | None) -> ModelShape:
    """The shape by the model's own files where they are here, else by `config.dimensions`.

    Raises UserError where neither says it.
    """
    for name in ("params.json", "config.json"):
        if directory is not None and (directory / name).is_file():
            return _from_files(directory, name)
    if config is None or config.dimensions is None:
        where = directory if directory is not None else f"model {config.name if config else ''}"
        raise UserError(
            f"{where}: neither params.json nor config.json tells the model's size: download it, "
            "or add `dimensions` to the model's file"
        )
    return _from_dimensions(config)


def _from_files(directory: Path, name: str) -> ModelShape:
    """The shape by params.json or config.json. Raises UserError where values in it are no sizes."""
    data = _json(directory / name)
    try:
        described = _from_params(data) if name == "params.json" else _from_config(data, directory)
        return _checked(_weighed(described, directory))
    except KeyError as error:
        raise UserError(f"{directory / name}: has no {error}") from None
    except (TypeError, ValueError, AttributeError, ArithmeticError, IndexError) as error:
        raise UserError(
            f"{directory / name}: some value is no size of a model ({error}); download the model "
            "again"
        ) from None


def _checked(shape: ModelShape) -> ModelShape:
    """The shape. Raises ValueError where a number of it is none: a text times three is a text."""
    for one in fields(shape):
        value = getattr(shape, one.name)
        kinds = {"int": (int,), "float": (int, float)}.get(str(one.type))
        if kinds is None:
            continue
        least = 1 if one.name in ("layers", "hidden", "heads", "kv_heads", "head_dim") else 0
        if type(value) not in kinds or not least <= value < LARGEST:
            raise ValueError(f"{one.name.replace('_', ' ')}: {str(value)[:40]!r}")
    return shape


def _from_dimensions(config: ModelConfig) -> ModelShape:
    d = config.dimensions
    assert d is not None
    return computed(
        layers=d.layers,
        hidden=d.hidden,
        intermediate=d.intermediate,
        heads=d.heads,
        kv_heads=d.kv_heads,
        head_dim=d.head_dim,
        vocabulary=d.vocabulary,
        vision=d.vision_parameters_billions * 1e9
        or vision_parameters(d.vision_layers, d.vision_hidden, d.vision_intermediate, d.hidden),
        vision_hidden=d.vision_hidden,
        vision_intermediate=d.vision_intermediate,
        patches=d.image_patches,
        image_tokens=d.image_tokens,
        context=config.context_tokens,
        bits=d.weight_bits if d.weight_bits >= 8 else d.weight_bits + 0.25,
        quantization="" if d.weight_bits == 16 else f"{d.weight_bits} bits",
    )


def _from_params(data: dict[str, Any]) -> ModelShape:
    """The shape by Mistral's params.json."""
    vision = data.get("vision_encoder") or {}
    side = vision.get("max_image_size", vision.get("image_size", 1024)) // max(
        1, vision.get("patch_size", 16)
    )
    merged = side // max(1, vision.get("spatial_merge_size", 1))
    hidden, inner = vision.get("hidden_size", 0), vision.get("intermediate_size", 0)
    depth = vision.get("num_hidden_layers", 0)
    return computed(
        layers=data["n_layers"],
        hidden=data["dim"],
        intermediate=data["hidden_dim"],
        heads=data["n_heads"],
        kv_heads=data.get("n_kv_heads", data["n_heads"]),
        head_dim=data.get("head_dim", data["dim"] // data["n_heads"]),
        vocabulary=data["vocab_size"],
        vision=vision_parameters(depth, hidden, inner, data["dim"]),
        vision_hidden=hidden,
        vision_intermediate=inner,
        patches=side**2 if vision else 0,
        image_tokens=merged * (merged + 1) if vision else 0,
        context=data.get("max_position_embeddings") or data.get("max_seq_len") or 128_000,
    )


# What the config.json files leave out, because transformers fills it in: only the keys that
# published checkpoints of these families rely on.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "mistral": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 32000,
        "max_position_embeddings": 131072,
    },
    "pixtral": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "image_size": 1024,
        "patch_size": 16,
    },
    "siglip_vision_model": {
        "hidden_size": 1152,
        "num_hidden_layers": 26,
        "intermediate_size": 4304,
        "image_size": 384,
        "patch_size": 14,
    },
}


def _from_config(data: dict[str, Any], directory: Path) -> ModelShape:
    """The shape by Hugging Face's config.json."""
    text = data.get("text_config") or data
    text = {**_DEFAULTS.get(text.get("model_type", ""), {}), **text}
    vision = data.get("vision_config") or {}
    vision = {**_DEFAULTS.get(vision.get("model_type", ""), {}), **vision}
    try:
        heads = text["num_attention_heads"]
        hidden = text["hidden_size"]
        numbers = {
            "layers": text["num_hidden_layers"],
            "hidden": hidden,
            "intermediate": text["intermediate_size"],
            "heads": heads,
            "kv_heads": text.get("num_key_value_heads") or heads,
            "head_dim": text.get("head_dim") or hidden // heads,
            "vocabulary": text.get("vocab_size") or data["vocab_size"],
        }
    except KeyError as error:
        raise UserError(f"{directory / 'config.json'}: has no {error}") from None
    vision_hidden = vision.get("hidden_size") or vision.get("embed_dim") or 0
    inner = vision.get("intermediate_size") or 4 * vision_hidden
    depth = vision.get("num_hidden_layers") or vision.get("depth") or 0
    patches, tokens = _largest_image(data, vision, directory)
    bits, name = _quantization(data.get("quantization_config") or text.get("quantization_config"))
    return computed(
        **numbers,
        vision=vision_parameters(depth, vision_hidden, inner, hidden),
        vision_hidden=vision_hidden,
        vision_intermediate=inner,
        patches=patches,
        image_tokens=tokens,
        context=text.get("max_position_embeddings") or 32_768,
        bits=bits,
        quantization=name,
    )


def _largest_image(
    data: dict[str, Any], vision: dict[str, Any], directory: Path
) -> tuple[int, int]:
    """Patches and prompt tokens of the largest image that the image processor produces."""
    patch = vision.get("patch_size", 14)
    if "spatial_merge_size" in vision and vision.get("model_type") != "pixtral":  # Qwen's kind
        settings = _image_processor(directory)
        size = settings.get("size") or {}
        pixels = settings.get("max_pixels") or size.get("longest_edge") or 12_845_056
        patches = pixels // patch**2
        return patches, patches // vision["spatial_merge_size"] ** 2
    side = vision.get("image_size", 1024) // patch
    if data.get("model_type") == "llava_onevision":
        # The whole image and up to nine tiles of it ("anyres_max_9"), with a newline token after a
        # row.
        tiles = int(str(data.get("vision_aspect_ratio", "anyres_max_9")).rpartition("_")[2] or 9)
        return side**2 * (tiles + 1), side**2 * (tiles + 1) + side * 9
    merged = side // max(1, data.get("spatial_merge_size", 1))
    return side**2, merged * (merged + 1)


def _image_processor(directory: Path) -> dict[str, Any]:
    """The image processor's settings, from preprocessor_config.json or, newer,
    processor_config.json.
    """
    own, shared = directory / "preprocessor_config.json", directory / "processor_config.json"
    if own.is_file():
        return _json(own)
    return dict(_json(shared).get("image_processor") or {}) if shared.is_file() else {}


def _quantization(settings: dict[str, Any] | None) -> tuple[float, str]:
    """Bits of a stored linear weight with its scales, and the name of the quantisation ("":
    none).
    """
    if not settings:
        return 16.0, ""
    method = str(settings.get("quant_method", "quantised"))
    groups = list((settings.get("config_groups") or {}).values())
    weights = (groups[0].get("weights") or {}) if groups else settings
    bits = weights.get("num_bits") or weights.get("bits") or (8 if "fp8" in method else 16)
    group = weights.get("group_size") or 0
    return float(bits) + (16 / group if group and group > 0 else 0), f"{method} w{bits}"


def _weighed(shape: ModelShape, directory: Path) -> ModelShape:
    """The shape with the parameters counted in the safetensors headers, where there are any."""
    linear = embedding = vision = 0.0
    packed_bytes = 0.0
    files = sorted(directory.glob("consolidated*.safetensors")) or sorted(
        directory.glob("model*.safetensors")
    )
    for path in files:
        try:
            header, _ = read_header(path)
        except ValueError:
            return shape  # the completeness check reports the unreadable file
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            count = prod(tensor["shape"])
            if any(mark in name for mark in VISION_MARKS):
                vision += count
            elif any(mark in name for mark in EMBEDDING_MARKS):
                embedding += count
            elif shape.quantization:
                packed_bytes += count * {**FLOATS, **OTHERS}.get(tensor["dtype"], 2)
            else:
                linear += count
    if not linear and not packed_bytes:
        return shape
    if packed_bytes:
        # Counted parameters in proportion to those computed from the dimensions.
        linear = shape.linear_parameters
        shape = replace(shape, linear_bits=8 * packed_bytes / linear)
    return replace(
        shape,
        linear_parameters=linear,
        embedding_parameters=embedding,
        vision_parameters=vision,
        exact_weights=True,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); download the model again") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: not a JSON object; download the model again")
    return data
