"""The figures behind a memory plan: weights exactly, activations and overhead by estimate.

The estimates are set against what vLLM 0.24 reports for Pixtral-12B in bfloat16 on one H100 80GB
(79.2 GiB for programs): of what it may use, 23.6 GiB of weights and the KV cache leave 1.1 GiB where
5,120 tokens are batched, 3.3 GiB where 16,384 are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixtrack.configs.engine_defaults import USUAL_BATCHED_TOKENS
from pixtrack.tasks.environment.cards import GIB
from pixtrack.tasks.environment.shape import ModelShape

DEFAULT_UTILIZATION = 0.9
"""vLLM's own default for gpu_memory_utilization."""
HIGHEST_UTILIZATION = 0.95
COMFORTABLE_REQUESTS = 8
"""Fewer requests than this in the KV cache leave a card waiting: a larger split is preferred."""


def value_bytes(dtype: str, default: int) -> int:
    """Bytes of one value."""
    if "fp8" in dtype or dtype == "int8":
        return 1
    return {"float32": 4, "float": 4, "bfloat16": 2, "float16": 2, "half": 2}.get(dtype, default)


def weight_bytes(shape: ModelShape, dtype: str, quantize: str, tensor: int, pipeline: int) -> int:
    """Weights of one card (the fullest). `quantize`: a quantisation made while loading (fp8), or "".

    Linear layers and embeddings are divided over the cards; the image side stays whole.
    """
    value = value_bytes(dtype, 2)
    if shape.quantization:
        linear = shape.linear_parameters * shape.linear_bits / 8
    elif quantize:
        linear = shape.linear_parameters * 1.0
    else:
        linear = shape.linear_parameters * value
    embeddings = shape.embedding_parameters * value / tensor / (2 if pipeline > 1 else 1)
    return int(linear / (tensor * pipeline) + embeddings + shape.vision_parameters * value)


def activation_bytes(shape: ModelShape, tensor: int, batched_tokens: int | None) -> int:
    """The peak of intermediate results while a full batch goes through.

    The text side: three feed-forward buffers and six of the hidden width a token, 2 bytes each; the
    image side the same over the patches of as many images as a batch holds; the larger counts,
    as one runs after the other. The images of a batch are held encoded beside them.
    """
    batch = max(batched_tokens or USUAL_BATCHED_TOKENS, shape.image_tokens)
    text = batch * 2 * (3 * shape.intermediate / tensor + 6 * shape.hidden)
    images = max(1, batch // max(1, shape.image_tokens)) if shape.image_tokens else 0
    patches = images * shape.image_patches
    vision = patches * 2 * (3 * shape.vision_intermediate + 6 * shape.vision_hidden)
    encoded = images * shape.image_tokens * shape.hidden * 2
    return int(max(text, vision) + encoded)


def overhead_bytes(cards: int, eager: bool) -> int:
    """Driver context and workspaces, CUDA graphs, and buffers between several cards."""
    return int(GIB * (0.8 + (0.0 if eager else 0.6) + (0.5 if cards > 1 else 0.0)))


def roomy_bytes(usable: int, weights: int, activations: int, overhead: int) -> int:
    """A budget that leaves nothing to wish: `usable` bytes of KV cache, and a GiB of reserve.

    For small models: vLLM would fill nine tenths of a card with a cache that no number of requests
    at once could use, and take seconds to list its blocks.
    """
    return usable + weights + activations + overhead + GIB


def replicas(options: Mapping[str, Any]) -> int:
    """How many engines answer at once (data_parallel_size), each on cards of its own."""
    return max(1, int(options.get("data_parallel_size") or 1))


def splits(shape: ModelShape, options: Mapping[str, Any], cards: int) -> list[tuple[int, int]]:
    """Tensor × pipeline parallel sizes that the cards and the model allow; fewest cards first.

    `cards` is what each replica may have. Sizes in the options are the only ones tried. Attention heads are divided evenly; KV heads
    evenly too, or repeated where there are fewer than cards.
    """
    tensor_asked = options.get("tensor_parallel_size")
    pipeline_asked = options.get("pipeline_parallel_size")
    pairs = []
    for tensor in [int(tensor_asked)] if tensor_asked else (1, 2, 4, 8, 16):
        divides = shape.kv_heads % tensor == 0 or tensor % shape.kv_heads == 0
        if shape.heads % tensor or not divides:
            continue
        for pipeline in [int(pipeline_asked)] if pipeline_asked else (1, 2, 4, 8):
            if tensor * pipeline <= cards and pipeline <= shape.layers:
                pairs.append((tensor, pipeline))
    return sorted(pairs, key=lambda pair: (pair[0] * pair[1], pair[1]))
