"""Which files of a model repository a model format needs."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from pathlib import PurePosixPath

from pixtrack.tasks.transfer import RemoteFile

# Mistral's own format: the whole model in three files. `tokenizer*.model*` and `*.index.json` are
# there for the older and the sharded checkpoints of the same format.
MISTRAL_PATTERNS = (
    "params.json",
    "consolidated*.safetensors",
    "consolidated*.index.json",
    "tekken.json",
    "tokenizer.model.v*",
)
# Hugging Face's format: weights, config, tokenizer and processor files of the root folder, and the
# code that a model brings (used only with trust_remote_code).
HF_PATTERNS = (
    "*.safetensors",
    "*.json",
    "*.jinja",
    "*.model",
    "merges.txt",
    "vocab.txt",
    "*.py",
)
HF_LEAVE_OUT = ("consolidated*", "params.json", "tekken.json", "training_args*", "trainer_state*")


def needed(files: Iterable[RemoteFile], model_format: str) -> list[RemoteFile]:
    """The files that the format needs, sorted by path; of two copies of the weights only one.

    Files in sub-folders are left out: repositories keep originals and exports there.
    """
    if model_format == "mistral":
        chosen = [f for f in files if _matches(f.path, MISTRAL_PATTERNS)]
    else:
        chosen = [
            f for f in files if _matches(f.path, HF_PATTERNS) and not _matches(f.path, HF_LEAVE_OUT)
        ]
    return sorted(chosen, key=lambda f: f.path)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return len(PurePosixPath(path).parts) == 1 and any(
        fnmatch.fnmatchcase(path, pattern) for pattern in patterns
    )
