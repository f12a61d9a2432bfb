"""Checks whether a directory holds a complete model, by headers and indexes alone (within seconds).

Called after a download, and for a directory that somebody else filled, before an engine starts.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from pixtrack.configs.errors import UserError
from pixtrack.tasks.transfer import human

# The safetensors format: 8 bytes header length (little-endian), a JSON header, the tensors' bytes.
# The library refuses headers over 100 MB, so a larger number means a damaged or foreign file.
SAFETENSORS_MAX_HEADER_BYTES = 100_000_000


def problems(directory: Path, model_format: str) -> list[str]:
    """What is wrong with the model's files, one line for each; empty where the model is complete.

    Finds files that are missing (also single shards, by the index), truncated (by the length in the
    safetensors header), unreadable, still being downloaded, or of the other format.

    Args:
        directory: the model's directory
        model_format: "mistral" or "hf"
    """
    if not directory.exists():
        return [f"{directory}: no such directory"]
    if not directory.is_dir():
        return [f"{directory}: not a directory; give the folder that holds the model's files"]
    return _mistral(directory) if model_format == "mistral" else _hf(directory)


def require_complete(directory: Path, model_format: str, remedy: str) -> None:
    """Raises UserError, with every incomplete file and the remedy, unless the model is complete."""
    found = problems(directory, model_format)
    if found:
        raise UserError(
            f"model files in {directory} are not complete: {'; '.join(found)}. {remedy}"
        )


def _mistral(directory: Path) -> list[str]:
    found = []
    has_params = (directory / "params.json").is_file()
    weights = sorted(directory.glob("consolidated*.safetensors"))
    if not has_params and not weights and (directory / "config.json").is_file():
        return [
            "wrong format: config.json and no params.json, so these are files in Hugging Face "
            "format (format: hf), and the model asks for Mistral format"
        ]
    found += _json_file(directory, "params.json", ("dim", "n_layers"))
    if not weights:
        found.append("consolidated.safetensors: missing")
    index = directory / "consolidated.safetensors.index.json"
    found += _shards(directory, index) if index.is_file() else []
    found += [line for path in weights if (line := _safetensors(path))]
    if (directory / "tekken.json").is_file():
        found += _json_file(directory, "tekken.json", ("vocab", "config"))
    elif not list(directory.glob("tokenizer.model*")):
        found.append("tekken.json: missing")
    return found + _unfinished(directory)


def _hf(directory: Path) -> list[str]:
    if not (directory / "config.json").is_file() and (directory / "params.json").is_file():
        return [
            "wrong format: params.json and no config.json, so these are files in Mistral format "
            "(format: mistral), and the model asks for Hugging Face format"
        ]
    found = _json_file(directory, "config.json", ("model_type",))
    index = directory / "model.safetensors.index.json"
    weights = sorted(directory.glob("model*.safetensors"))
    if index.is_file():
        found += _shards(directory, index)
    elif not weights:
        old = sorted(directory.glob("pytorch_model*.bin"))
        found.append(
            "model.safetensors: missing"
            + (" (pytorch_model.bin is not read: pickled weights can run code)" if old else "")
        )
    elif (expected := _numbered(weights)) is not None:
        found += [f"{name}: missing" for name in expected]
        found.append("model.safetensors.index.json: missing")
    found += [line for path in weights if (line := _safetensors(path))]
    found += _json_file(directory, "tokenizer_config.json", ())
    tokenizers = ("tokenizer.json", "tokenizer.model", "vocab.json")
    if not any((directory / name).is_file() for name in tokenizers):
        found.append("tokenizer.json: missing")
    if not any(
        (directory / name).is_file()
        for name in ("preprocessor_config.json", "processor_config.json")
    ):
        found.append("preprocessor_config.json: missing (without it no image can be shown)")
    return found + _unfinished(directory)


def _numbered(weights: list[Path]) -> list[str] | None:
    """The missing files of a set like model-00001-of-00004.safetensors; None without numbers."""
    for path in weights:
        parts = path.stem.split("-")
        if len(parts) == 4 and parts[2] == "of" and parts[3].isdigit():
            names = [
                f"model-{n:05d}-of-{parts[3]}.safetensors" for n in range(1, int(parts[3]) + 1)
            ]
            return [name for name in names if not (path.parent / name).is_file()]
    return None


def _shards(directory: Path, index: Path) -> list[str]:
    data = _read_json(index)
    if isinstance(data, str):
        return [f"{index.name}: {data}"]
    weight_map = data.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        return [f"{index.name}: has no weight_map"]
    return [
        f"{name}: missing ({index.name} names it)"
        for name in sorted(set(map(str, weight_map.values())))
        if not (directory / name).is_file()
    ]


def _safetensors(path: Path) -> str:
    """What is wrong with a safetensors file; "" where its length is what its header says."""
    actual = path.stat().st_size
    try:
        expected = expected_size(path)
    except ValueError as error:
        return f"{path.name}: {error}"
    if actual < expected:
        return f"{path.name}: truncated, {human(actual)} of {human(expected)} ({actual} of {expected} bytes)"
    if actual > expected:
        return f"{path.name}: {actual - expected} bytes longer than its header says"
    return ""


def expected_size(path: Path) -> int:
    """The length in bytes that a safetensors file must have by its own header.

    Raises ValueError where the header cannot be read.
    """
    header, start = read_header(path)
    ends = [_end(tensor) for name, tensor in header.items() if name != "__metadata__"]
    return start + max(ends, default=0)


def _end(tensor: Any) -> int:
    """Where the tensor's bytes end, by its entry in a header."""
    offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
    if not isinstance(offsets, list) or [type(one) for one in offsets] != [int, int]:
        raise ValueError("not a safetensors file (its header does not say where a tensor lies)")
    return int(offsets[1])


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Reads the header of a safetensors file.

    Returns tensor names with their dtype, shape and data_offsets, and the offset of the data.
    Raises ValueError where the file is not safetensors, or ends within its header.
    """
    with path.open("rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise ValueError(f"truncated, {len(prefix)} bytes, within its header")
        (length,) = struct.unpack("<Q", prefix)
        if length > SAFETENSORS_MAX_HEADER_BYTES:
            pointer = prefix.startswith(b"version ")
            raise ValueError(
                "a Git LFS pointer, not the weights (run `git lfs pull`)"
                if pointer
                else "not a safetensors file"
            )
        text = file.read(length)
    if len(text) < length:
        raise ValueError(f"truncated within its header ({8 + len(text)} of {8 + length} bytes)")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("not a safetensors file (its header is no JSON)") from None
    if not isinstance(header, dict):
        raise ValueError("not a safetensors file (its header is no JSON object)")
    return header, 8 + length


def _json_file(directory: Path, name: str, keys: tuple[str, ...]) -> list[str]:
    path = directory / name
    if not path.is_file():
        return [f"{name}: missing"]
    data = _read_json(path)
    if isinstance(data, str):
        return [f"{name}: {data}"]
    return [f"{name}: has no {key!r}" for key in keys if key not in data]


def _read_json(path: Path) -> dict[str, Any] | str:
    """The file's JSON object, or a string that says what is wrong with the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return f"cannot be read ({error})"
    except (ValueError, RecursionError):
        return "truncated or not JSON" if path.stat().st_size else "empty"
    return data if isinstance(data, dict) else "not a JSON object"


def _unfinished(directory: Path) -> list[str]:
    """Partial downloads that another program left in the directory."""
    return [
        f"{path.name}: an unfinished download"
        for pattern in ("*.incomplete", "*.part", "*.aria2", "*.crdownload")
        for path in sorted(directory.glob(pattern))
    ]
