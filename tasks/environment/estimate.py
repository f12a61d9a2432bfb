"""The figures behind a memory plan: weights are computed, activations and overhead estimated.

The estimates are fitted to what vLLM 0.24 reports for Pixtral-12B in bfloat16 on one H100 80GB
(79.2 GiB usable): beside 23.6 GiB of weights and the KV cache, it uses 1.1 GiB where 5,120 tokens
are batched, and 3.3 GiB where 16,384 are.
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
"""With fewer requests than this in the KV cache a card is idle at times: a larger split is
preferred."""


def value_bytes(dtype: str, default: int) -> int:
    """Bytes of one value of a dtype; `default` for an unknown one."""
    if "fp8" in dtype or dtype == "int8":
        return 1
    return {"float32": 4, "float": 4, "bfloat16": 2, "float16": 2, "half": 2}.get(dtype, default)


def weight_bytes(shape: ModelShape, dtype: str, quantize: str, tensor: int, pipeline: int) -> int:
    """Bytes of weights on the fullest card.

    Linear layers and embeddings are divided among the cards; the vision encoder is on each whole.

    Args:
        shape: the model
        dtype: type of unquantised weights
        quantize: the quantisation made while loading (fp8); "" for none
        tensor: tensor-parallel size
        pipeline: pipeline-parallel size
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
    """Peak bytes of intermediate results while a full batch is computed.

    For the language model: three feed-forward buffers and six of the hidden width, of 2 bytes per
    token. For the vision encoder: the same over the patches of as many images as a batch holds. The
    larger of the two counts, as they run one after the other; the encoded images of a batch are
    added.
    """
    batch = max(batched_tokens or USUAL_BATCHED_TOKENS, shape.image_tokens)
    text = batch * 2 * (3 * shape.intermediate / tensor + 6 * shape.hidden)
    images = max(1, batch // max(1, shape.image_tokens)) if shape.image_tokens else 0
    patches = images * shape.image_patches
    vision = patches * 2 * (3 * shape.vision_intermediate + 6 * shape.vision_hidden)
    encoded = images * shape.image_tokens * shape.hidden * 2
    return int(max(text, vision) + encoded)


def overhead_bytes(cards: int, eager: bool) -> int:
    """Bytes of driver context, workspaces, CUDA graphs, and communication buffers between cards."""
    return int(GIB * (0.8 + (0.0 if eager else 0.6) + (0.5 if cards > 1 else 0.0)))


def roomy_bytes(usable: int, weights: int, activations: int, overhead: int) -> int:
    """The budget with which a small model has all the KV cache that it can use, and a reserve.

    Without it vLLM fills nine tenths of a card with a cache that no number of concurrent requests
    could use, and takes seconds to set up its blocks.

    Args:
        usable: bytes of KV cache that can be of use
        weights: bytes of weights
        activations: bytes of intermediate results
        overhead: bytes of everything else
    """
    return usable + weights + activations + overhead + GIB


def replicas(options: Mapping[str, Any]) -> int:
    """The number of engines that answer side by side (data_parallel_size), each on its own
    cards.
    """
    return max(1, int(options.get("data_parallel_size") or 1))


def splits(shape: ModelShape, options: Mapping[str, Any], cards: int) -> list[tuple[int, int]]:
    """The tensor- and pipeline-parallel sizes that the model allows, fewest cards first.

    Attention heads must be divided evenly; KV heads too, or repeated where they are fewer than
    cards.

    Args:
        shape: the model
        options: engine options; parallel sizes in them are the only ones considered
        cards: number of cards for each replica
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
