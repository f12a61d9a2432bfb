"""Checks that a model's directory has the files that vLLM needs, before vLLM starts loading it."""

from __future__ import annotations

from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.tasks.runs.protocol import EngineSpec

_NEEDED = {
    "mistral": (
        ("params.json",),
        ("tekken.json", "tokenizer.model.v*", "tokenizer.mm.model.v*", "tokenizer.model"),
    ),
    "hf": (("config.json",), ("tokenizer.json", "tokenizer_config.json", "vocab.*", "*.model")),
}
_WEIGHTS = {
    "mistral": ("consolidated*.safetensors", "consolidated*.pt"),
    "hf": ("*.safetensors", "*.bin", "*.pt"),
}


def check_model_files(spec: EngineSpec) -> None:
    """Raises UserError, naming the first kind of file that is missing."""
    directory = Path(spec.model_dir)
    if not directory.is_dir():
        raise UserError(
            f"{directory}: no such directory of a model: pixtrack downloads or makes it; a local "
            "model's source.path must lead to it"
        )
    needed = list(_NEEDED.get(spec.format, ()))
    if spec.weights == "files" and spec.options.get("load_format") != "dummy":
        needed += [_WEIGHTS[spec.format]] if spec.format in _WEIGHTS else []
    for patterns in needed:
        if not any(True for pattern in patterns for _ in directory.glob(pattern)):
            raise UserError(
                f"{directory}: no {' or '.join(patterns)}, which a model in {spec.format} format has: "
                "`pixtrack models verify` checks the files, a new download completes them"
            )
