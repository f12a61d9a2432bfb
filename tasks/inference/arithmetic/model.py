"""The operations of a vision-language model: its language model, and its vision encoder's kind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixtrack.tasks.inference.arithmetic.vision.base import Vision
from pixtrack.tasks.inference.arithmetic.vision.llava_onevision import LlavaOnevisionVision
from pixtrack.tasks.inference.arithmetic.vision.pixtral import PixtralVision
from pixtrack.tasks.inference.arithmetic.vision.qwen2_5_vl import Qwen25Vision

VISIONS: dict[str, type[Vision]] = {
    "pixtral": PixtralVision,
    "qwen2_5_vl": Qwen25Vision,
    "llava_onevision": LlavaOnevisionVision,
}
"""By the model's family: what an image costs."""


@dataclass(frozen=True)
class Language:
    """A decoder with gated feed-forward layers; a multiply-add counts 2 operations."""

    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    vocabulary: int

    @classmethod
    def of_params(cls, p: dict[str, Any]) -> Language:
        """From Mistral's params.json."""
        heads = p["n_heads"]
        return cls(
            dim=p["dim"],
            layers=p["n_layers"],
            heads=heads,
            kv_heads=p.get("n_kv_heads", heads),
            head_dim=p.get("head_dim", p["dim"] // heads),
            inner=p["hidden_dim"],
            vocabulary=p["vocab_size"],
        )

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Language:
        """From Hugging Face's config.json; older ones have the language model at the top."""
        text = config.get("text_config", config)
        heads = text["num_attention_heads"]
        return cls(
            dim=text["hidden_size"],
            layers=text["num_hidden_layers"],
            heads=heads,
            kv_heads=text.get("num_key_value_heads") or heads,
            head_dim=text.get("head_dim") or text["hidden_size"] // heads,
            inner=text["intermediate_size"],
            vocabulary=text["vocab_size"],
        )

    @property
    def layer_weights(self) -> int:
        """Weights of all layers; embeddings and output are not multiplied by prompts."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return self.layers * self.dim * (2 * query + 2 * key + 3 * self.inner)

    def weights_flops(self, tokens: int) -> float:
        """So many tokens through the layers' weights."""
        return 2.0 * self.layer_weights * tokens

    def attention_flops(self, new: int, before: int = 0) -> float:
        """`new` tokens attend to each other (causally) and to `before` in the KV cache."""
        width = self.heads * self.head_dim * self.layers
        return 4.0 * width * (new * before + new * (new + 1) / 2)

    @property
    def output_flops(self) -> float:
        """One token's logits."""
        return 2.0 * self.vocabulary * self.dim

    @property
    def kv_bytes(self) -> int:
        """Keys and values of one token, bf16."""
        return self.layers * 2 * self.kv_heads * self.head_dim * 2


@dataclass(frozen=True)
class Arithmetic:
    """What a model computes."""

    language: Language
    vision: Vision
    family: str

    @classmethod
    def of(cls, model_dir: Path, family: str) -> Arithmetic | None:
        """From a model directory's params.json or config.json.

        None for a family that is not in VISIONS, and for files that do not say the sizes.
        """
        if family not in VISIONS:
            return None
        try:
            return cls._of_files(model_dir, family)
        except (KeyError, TypeError, ValueError):
            return None

    @classmethod
    def _of_files(cls, model_dir: Path, family: str) -> Arithmetic:
        params = model_dir / "params.json"
        if params.is_file():
            p = _read(params)
            language = Language.of_params(p)
            return cls(
                language, VISIONS[family].of_files(p["vision_encoder"], language.dim), family
            )
        config = _read(model_dir / "config.json")
        settings = _read(model_dir / "preprocessor_config.json")
        sizes = {**settings, **config, **config["vision_config"]}
        language = Language.of_config(config)
        return cls(language, VISIONS[family].of_files(sizes, language.dim), family)

    @classmethod
    def of_dimensions(cls, dimensions: Any, family: str) -> Arithmetic | None:
        """From pixtrack.configs.schema.Dimensions, for a model whose files are not here."""
        if family not in VISIONS or not dimensions.vision_layers:
            return None
        d = dimensions
        language = Language(
            dim=d.hidden,
            layers=d.layers,
            heads=d.heads,
            kv_heads=d.kv_heads,
            head_dim=d.head_dim,
            inner=d.intermediate,
            vocabulary=d.vocabulary,
        )
        sizes = {
            "hidden_size": d.vision_hidden,
            "intermediate_size": d.vision_intermediate,
            "num_hidden_layers": d.vision_layers,
        }
        return cls(language, VISIONS[family].of_files(sizes, d.hidden), family)

    def vision_flops(self, sizes: Iterable[tuple[int, int]]) -> float:
        """Encoder and projector on images of these widths and heights."""
        return sum(self.vision.image_flops(width, height) for width, height in sizes)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return dict(json.loads(path.read_text(encoding="utf-8")))
