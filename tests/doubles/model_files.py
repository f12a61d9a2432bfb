"""Small model directories for the tests of this folder."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from pixtrack.configs.schema import HubModel, ModelConfig


def safetensors(tensors: dict[str, int], fill: bytes = b"\0") -> bytes:
    """A file with one-dimensional tensors of 1-byte values: name to length."""
    header, at = {}, 0
    for name, length in tensors.items():
        header[name] = {"dtype": "U8", "shape": [length], "data_offsets": [at, at + length]}
        at += length
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + fill * at


def mistral_files(size: int = 300_000, fill: bytes = b"\1") -> dict[str, bytes]:
    """A repository in Mistral format, as mistralai's own: with a README and a config for humans."""
    return {
        "README.md": b"# card",
        "SYSTEM_PROMPT.txt": b"be kind",
        "params.json": json.dumps({"dim": 64, "n_layers": 2}).encode(),
        "consolidated.safetensors": safetensors({"a": size, "b": 10}, fill),
        "tekken.json": json.dumps({"config": {}, "vocab": []}).encode(),
    }


def hf_files(shards: int = 3, size: int = 50_000) -> dict[str, bytes]:
    """A repository in Hugging Face format, with a consolidated copy of the weights beside it."""
    names = [f"model-{n:05d}-of-{shards:05d}.safetensors" for n in range(1, shards + 1)]
    index = {"metadata": {}, "weight_map": {f"t{n}": name for n, name in enumerate(names)}}
    return {
        "README.md": b"# card",
        "config.json": b'{"model_type": "llava"}',
        "generation_config.json": b"{}",
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b"{}",
        "preprocessor_config.json": b"{}",
        "chat_template.jinja": b"{{ messages }}",
        "model.safetensors.index.json": json.dumps(index).encode(),
        **{name: safetensors({f"t{n}": size}, bytes([n + 1])) for n, name in enumerate(names)},
        "consolidated.safetensors": safetensors({"all": 200_000}),
        "pytorch_model.bin": b"pickle",
        "original/model.safetensors": b"another copy",
    }


def write(directory: Path, files: dict[str, bytes]) -> Path:
    """The files on disk."""
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return directory


def model(repo: str, revision: str, model_format: str = "mistral", **source: object) -> ModelConfig:
    """A configuration whose files are on the hub."""
    return ModelConfig(
        name="tiny",
        title="Tiny",
        source=HubModel(repo=repo, revision=revision, **source),
        format=model_format,
        family="pixtral",
        parameters_billions=0.001,
        licence="MIT",
    )
