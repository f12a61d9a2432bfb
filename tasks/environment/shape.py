"""The sizes of a model that decide how much memory it needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelShape:
    """A model's sizes. Weights are given as numbers of parameters, not bytes."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    linear_parameters: float
    """Parameters of the language model's layers, which a quantisation makes smaller."""
    embedding_parameters: float
    """Parameters of token embeddings and output head."""
    vision_parameters: float
    """Parameters of vision encoder and projector, whole on every card of the first pipeline
    stage."""
    vision_hidden: int
    vision_intermediate: int
    image_patches: int
    """Patches of the largest image."""
    image_tokens: int
    """Prompt tokens of the largest image."""
    context_tokens: int
    linear_bits: float = 16.0
    """Bits of a linear weight as stored, with its scales; 16 where not quantised."""
    quantization: str = ""
    """The quantisation named in the files; "" where they are not quantised."""
    exact_weights: bool = False
    """Whether the parameters were counted in the files; else they are computed from dimensions."""

    @property
    def parameters(self) -> float:
        """All parameters."""
        return self.linear_parameters + self.embedding_parameters + self.vision_parameters

    def kv_bytes_per_token(self, value_bytes: int = 2) -> int:
        """Bytes of one token in the KV cache over all layers: 2 × layers × KV heads × head size."""
        return self.layers * self.kv_heads * self.head_dim * 2 * value_bytes


def computed(
    *,
    layers: int,
    hidden: int,
    intermediate: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    vocabulary: int,
    vision: float,
    vision_hidden: int,
    vision_intermediate: int,
    patches: int,
    image_tokens: int,
    context: int,
    bits: float = 16.0,
    quantization: str = "",
) -> ModelShape:
    """The shape of a decoder with gated feed-forward layers and grouped-query attention."""
    attention = 2 * hidden * head_dim * (heads + kv_heads)
    return ModelShape(
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocabulary=vocabulary,
        linear_parameters=layers * (attention + 3 * hidden * intermediate),
        embedding_parameters=2 * vocabulary * hidden,
        vision_parameters=vision,
        vision_hidden=vision_hidden,
        vision_intermediate=vision_intermediate,
        image_patches=patches,
        image_tokens=image_tokens,
        context_tokens=context,
        linear_bits=bits,
        quantization=quantization,
    )


def vision_parameters(layers: int, hidden: int, intermediate: int, text_hidden: int) -> int:
    """Parameters of a vision encoder with gated feed-forward layers and a two-layer projector."""
    if not layers:
        return 0
    encoder = layers * (4 * hidden**2 + 3 * hidden * intermediate)
    return encoder + hidden * text_hidden + text_hidden**2
