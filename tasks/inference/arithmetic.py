"""The lower bound of the time that answering takes, from a model's arithmetic and a device's rates.

An image group costs the floating-point operations of its image's prompt (language model, attention,
vision encoder, adapter), at the rate of a large matrix product. Each of its questions costs, for
every output token, one reading of the prompt's keys and values, at the rate of a large copy.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Rates:
    """Measured rates of a device: a bf16 matrix product over 2 s, and a copy (read and write)."""

    flops: float
    bytes: float
    name: str
    matrix: int

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


H100 = Rates(flops=679e12, bytes=2.97e12, name="NVIDIA H100 80GB HBM3", matrix=8192)
"""Measured on one card, in the run that bench/measured holds."""

H100_OF_LIMIT = 0.84
"""The share of the limit that the schedule reached in that run."""


@dataclass(frozen=True)
class Arithmetic:
    """The operations of a Pixtral in Mistral format; a multiply-add counts as 2."""

    params: dict[str, Any]

    @classmethod
    def of(cls, model_dir: Path) -> Arithmetic:
        """By the params.json of a model directory."""
        return cls(json.loads((model_dir / "params.json").read_text(encoding="utf-8")))

    @classmethod
    def of_dimensions(cls, dimensions: Any) -> Arithmetic:
        """By `configs.schema.Dimensions`, for a model whose files are not on this machine."""
        d = dimensions
        vision = {
            "hidden_size": d.vision_hidden,
            "intermediate_size": d.vision_intermediate,
            "num_hidden_layers": d.vision_layers,
            "patch_size": 16,
        }
        return cls(
            {
                "dim": d.hidden,
                "n_layers": d.layers,
                "n_heads": d.heads,
                "n_kv_heads": d.kv_heads,
                "head_dim": d.head_dim,
                "hidden_dim": d.intermediate,
                "vocab_size": d.vocabulary,
                "vision_encoder": vision,
            }
        )

    @property
    def layer_weights(self) -> int:
        """Number of weights in the language layers; prompts are not multiplied by the others."""
        p = self.params
        query, key = p["n_heads"] * p["head_dim"], p["n_kv_heads"] * p["head_dim"]
        layer = p["dim"] * (2 * query + 2 * key + 3 * p["hidden_dim"])
        return int(p["n_layers"] * layer)

    def prompt_flops(self, new: int, before: int = 0) -> float:
        """Operations for `new` prompt tokens after `before` ones in the KV cache; causal
        attention.
        """
        p = self.params
        width = p["n_heads"] * p["head_dim"] * p["n_layers"]
        attended = new * before + new * (new + 1) / 2
        return float(2.0 * self.layer_weights * new + 4.0 * width * attended)

    def token_flops(self, context: int) -> float:
        """Operations for one output token after `context` tokens."""
        p = self.params
        return float(self.prompt_flops(1, context) + 2.0 * p["vocab_size"] * p["dim"])

    def vision_flops(self, patches: int) -> float:
        """Operations of vision encoder and adapter for an image of `patches`; full attention."""
        v, dim = self.params["vision_encoder"], self.params["dim"]
        hidden, inner = v["hidden_size"], v["intermediate_size"]
        layer = 4 * hidden * hidden + 3 * hidden * inner
        weights = v["num_hidden_layers"] * layer + 3 * v["patch_size"] ** 2 * hidden
        adapter = hidden * dim + dim * dim
        attention = 4.0 * patches * patches * hidden * v["num_hidden_layers"]
        return float(2.0 * patches * (weights + adapter) + attention)

    @property
    def kv_bytes(self) -> int:
        """Bytes of the keys and values of one token in bf16."""
        p = self.params
        return int(p["n_layers"] * 2 * p["n_kv_heads"] * p["head_dim"] * 2)


@dataclass(frozen=True)
class Load:
    """The work, as averages over the samples."""

    questions_per_image: float
    """Questions of an image group, which share their images."""
    image_tokens: float
    """Of all images of one prompt."""
    patches: float
    """Of all images of one prompt."""
    text_tokens: float
    """Tokens of one prompt besides those of images."""
    output_tokens: float
    images: float = 1.0
    """Images of one prompt; the vision encoder takes each separately."""


def limit_samples_per_s(arithmetic: Arithmetic, load: Load, rates: Rates) -> float:
    """Upper bound of samples per second: each image and each question's own tokens computed
    once.
    """
    image, text = round(load.image_tokens), round(load.text_tokens)
    vision = load.images and load.images * arithmetic.vision_flops(
        round(load.patches / load.images)
    )
    flops = vision + arithmetic.prompt_flops(image)
    own = arithmetic.prompt_flops(text, image)
    own += load.output_tokens * arithmetic.token_flops(image + text)
    read = load.output_tokens * (image + text) * arithmetic.kv_bytes
    question = own / rates.flops + read / rates.bytes
    return load.questions_per_image / (flops / rates.flops + load.questions_per_image * question)
