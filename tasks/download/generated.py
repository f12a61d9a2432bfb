"""Writes a tiny Pixtral checkpoint with random weights, to test the machinery; its scores mean
nothing.

The files are those of a real Pixtral in Mistral format (params.json, consolidated.safetensors,
tekken.json) with the same tensor names and the same layers, so that vLLM runs its real code on
them; only the sizes are small. Needs no torch.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from pixtrack.tasks.files import write_atomically

MARKER = "pixtrack_random.json"
"""File in a directory that `write_random_pixtral` made; it records generator version and seed."""

GENERATOR_VERSION = 1
"""Increased when the same seed gives other bytes."""

VOCAB_SIZE = 8192
SPECIAL_TOKENS = 1000
EOS = 2
MAX_IMAGE_SIZE = 384
PATCH_SIZE = 16

_DIM = 64
_LAYERS = 2
_HEADS = 2
_KV_HEADS = 1
_HEAD_DIM = 64  # vLLM's attention kernel for CPUs refuses 16
_HIDDEN = 128
_VISION_DIM = 64
_VISION_LAYERS = 2
_VISION_HEADS = 2
_VISION_HIDDEN = 128

_QUERY_GAIN = 3.0
"""Factor of the query weights. It makes attention peaked: flat attention averages over the image,
and then every answer is the same."""
_VALUE_GAIN = 2.0
_EOS_GAIN = 2.5
"""Factor of the end-of-sequence weights, large enough that some answers end before max_tokens."""


def params() -> dict[str, Any]:
    """The content of params.json, with the keys that Pixtral-12B-2409 has."""
    return {
        "dim": _DIM,
        "n_layers": _LAYERS,
        "head_dim": _HEAD_DIM,
        "hidden_dim": _HIDDEN,
        "n_heads": _HEADS,
        "n_kv_heads": _KV_HEADS,
        "norm_eps": 1e-05,
        "vocab_size": VOCAB_SIZE,
        "rope_theta": 1000000.0,
        "max_position_embeddings": 8192,
        "vision_encoder": {
            "hidden_size": _VISION_DIM,
            "num_channels": 3,
            "image_size": MAX_IMAGE_SIZE,
            "max_image_size": MAX_IMAGE_SIZE,
            "patch_size": PATCH_SIZE,
            "rope_theta": 10000.0,
            "intermediate_size": _VISION_HIDDEN,
            "num_hidden_layers": _VISION_LAYERS,
            "num_attention_heads": _VISION_HEADS,
            "adapter_bias": True,
            "image_token_id": 10,
            "image_break_token_id": 12,
            "image_end_token_id": 13,
        },
    }


def write_random_pixtral(directory: Path, seed: int = 0) -> None:
    """Writes the checkpoint (about 4 MB) into `directory`, which is created if needed.

    Weights and tokenizer are a function of `seed` alone. The marker file is written last, so a
    directory that has it is complete.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARKER).unlink(missing_ok=True)
    write_atomically(directory / "params.json", json.dumps(params(), indent=2) + "\n")
    write_atomically(
        directory / "tekken.json", json.dumps(_tokenizer(), ensure_ascii=True, indent=0) + "\n"
    )
    partial = directory / ".consolidated.safetensors.partial"
    partial.write_bytes(_safetensors(_weights(seed)))
    partial.replace(directory / "consolidated.safetensors")
    marker = {"weights": "random", "generator_version": GENERATOR_VERSION, "seed": seed}
    write_atomically(directory / MARKER, json.dumps(marker) + "\n")


def is_random(directory: Path) -> bool:
    """Whether the checkpoint in `directory` was written by `write_random_pixtral`."""
    return (directory / MARKER).is_file()


def _tokenizer() -> dict[str, Any]:
    """Pixtral's own tokenizer, reduced to its most frequent entries.

    A byte-pair vocabulary is ordered by rank and every entry consists of earlier ones, so any
    beginning of it is a valid vocabulary.
    """
    source = files("mistral_common") / "data" / "tekken_240911.json"
    full = json.loads(source.read_text(encoding="utf-8"))
    kept = VOCAB_SIZE - SPECIAL_TOKENS
    return {
        "config": {
            **full["config"],
            "num_vocab_tokens": kept,
            "default_vocab_size": VOCAB_SIZE,
            "default_num_special_tokens": SPECIAL_TOKENS,
        },
        "vocab": full["vocab"][:kept],
        "image": {"image_patch_size": PATCH_SIZE, "max_image_size": MAX_IMAGE_SIZE},
    }


def _weights(seed: int) -> Iterator[tuple[str, np.ndarray[Any, np.dtype[np.float32]]]]:
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, gain: float = 1.0) -> Any:
        scale = np.float32(gain / np.sqrt(columns))
        return rng.standard_normal((rows, columns), dtype=np.float32) * scale

    def ones(size: int) -> Any:
        return np.ones(size, dtype=np.float32)

    def layer(prefix: str, dim: int, heads: int, kv_heads: int, head: int, hidden: int) -> Any:
        yield f"{prefix}.attention_norm.weight", ones(dim)
        yield f"{prefix}.attention.wq.weight", matrix(heads * head, dim, _QUERY_GAIN)
        yield f"{prefix}.attention.wk.weight", matrix(kv_heads * head, dim)
        yield f"{prefix}.attention.wv.weight", matrix(kv_heads * head, dim, _VALUE_GAIN)
        yield f"{prefix}.attention.wo.weight", matrix(dim, heads * head)
        yield f"{prefix}.ffn_norm.weight", ones(dim)
        yield f"{prefix}.feed_forward.w1.weight", matrix(hidden, dim)
        yield f"{prefix}.feed_forward.w2.weight", matrix(dim, hidden)
        yield f"{prefix}.feed_forward.w3.weight", matrix(hidden, dim)

    yield "tok_embeddings.weight", rng.standard_normal((VOCAB_SIZE, _DIM), dtype=np.float32)
    for number in range(_LAYERS):
        yield from layer(f"layers.{number}", _DIM, _HEADS, _KV_HEADS, _HEAD_DIM, _HIDDEN)
    yield "norm.weight", ones(_DIM)
    output = matrix(VOCAB_SIZE, _DIM)
    output[:SPECIAL_TOKENS] = 0  # control tokens are never said…
    output[EOS] = matrix(1, _DIM, _EOS_GAIN)[0]  # …but for this one
    yield "output.weight", output

    patch = PATCH_SIZE * PATCH_SIZE * 3
    yield (
        "vision_encoder.patch_conv.weight",
        matrix(_VISION_DIM, patch).reshape(_VISION_DIM, 3, PATCH_SIZE, PATCH_SIZE),
    )
    yield "vision_encoder.ln_pre.weight", ones(_VISION_DIM)
    head = _VISION_DIM // _VISION_HEADS
    for number in range(_VISION_LAYERS):
        yield from layer(
            f"vision_encoder.transformer.layers.{number}",
            _VISION_DIM,
            _VISION_HEADS,
            _VISION_HEADS,
            head,
            _VISION_HIDDEN,
        )
    for name, columns in (("w_in", _VISION_DIM), ("w_out", _DIM)):
        yield f"vision_language_adapter.{name}.weight", matrix(_DIM, columns)
        yield f"vision_language_adapter.{name}.bias", np.zeros(_DIM, dtype=np.float32)


def _safetensors(weights: Iterable[tuple[str, np.ndarray[Any, np.dtype[np.float32]]]]) -> bytes:
    """The bytes of a safetensors file: length of the header, header in JSON, then the tensors.

    Written here because safetensors' own numpy writer does not support bfloat16.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, array in weights:
        start = len(data)
        data += _bfloat16(array)
        header[name] = {
            "dtype": "BF16",
            "shape": list(array.shape),
            "data_offsets": [start, len(data)],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def _bfloat16(array: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    """The values as bfloat16 (which numpy lacks): upper halves of float32, rounded to nearest
    even.
    """
    bits = np.ascontiguousarray(array, dtype="<f4").view("<u4").astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return rounded.astype("<u2").tobytes()
