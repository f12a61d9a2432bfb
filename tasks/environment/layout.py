"""One way to divide a model among cards: which cards, what each holds, how long a context fits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pixtrack.configs.engine_defaults import ENCODER_CACHE_SHARE, USUAL_REQUESTS_AT_ONCE
from pixtrack.tasks.environment.cards import Card
from pixtrack.tasks.environment.estimate import (
    DEFAULT_UTILIZATION,
    HIGHEST_UTILIZATION,
    activation_bytes,
    overhead_bytes,
    replicas,
    roomy_bytes,
    value_bytes,
    weight_bytes,
)
from pixtrack.tasks.environment.memory_plan import MemoryPlan, PlanRequest, gib

DOES_NOT_FIT = "does not fit"


def layout(
    given: PlanRequest, options: Mapping[str, Any], tensor: int, pipeline: int
) -> MemoryPlan:
    """The arithmetic of one split."""
    shape = given.shape
    number = replicas(options)
    cards = _freest(given.cards, tensor * pipeline * number)
    notes: list[str] = []
    planned = {key: value for key, value in options.items() if key != "data_parallel_size"}
    if given.recipe:
        notes.append(f"options of {given.recipe}")
    dtype = _dtype(given, options, notes, cards)
    planned["dtype"] = dtype
    quantization = str(options.get("quantization") or shape.quantization or "")

    total = min(card.total_bytes for card in cards)
    free = min(
        card.free_bytes if card.free_bytes is not None else card.total_bytes for card in cards
    )
    utilization = float(options.get("gpu_memory_utilization", DEFAULT_UTILIZATION))
    if "gpu_memory_utilization" not in given.pinned:
        utilization = _utilization(given, utilization, total, free, notes)
    planned["gpu_memory_utilization"] = utilization

    weights = weight_bytes(shape, dtype, str(options.get("quantization") or ""), tensor, pipeline)
    batched = options.get("max_num_batched_tokens")
    if given.reduced and "max_num_batched_tokens" not in given.pinned:
        batched = max(shape.image_tokens, 4096)
        planned["max_num_batched_tokens"] = batched
        planned.setdefault("max_num_seqs", 64)
        if "enforce_eager" not in given.pinned:
            planned["enforce_eager"] = True
        notes.append("the smaller plan: less memory, smaller batches, no CUDA graphs")
    activations = activation_bytes(shape, tensor, batched)
    overhead = overhead_bytes(tensor * pipeline, bool(planned.get("enforce_eager")))
    budget = int(total * utilization)
    per_token = (
        -(-shape.layers // pipeline)
        * max(1, -(-shape.kv_heads // tensor))
        * shape.head_dim
        * 2
        * value_bytes(str(options.get("kv_cache_dtype", "auto")), 2)
    )
    request = given.prompt_tokens + given.answer_tokens
    wanted = int(options.get("max_model_len") or shape.context_tokens)
    if "gpu_memory_utilization" not in options:
        at_once = max(USUAL_REQUESTS_AT_ONCE, int(planned.get("max_num_seqs") or 0))
        roomy = roomy_bytes(at_once * wanted * per_token, weights, activations, overhead)
        utilization = min(utilization, max(0.01, math.ceil(100 * roomy / total) / 100))
        planned["gpu_memory_utilization"] = utilization
        budget = int(total * utilization)
    kv = max(0, budget - weights - activations - overhead)
    tokens = kv // per_token
    length = _length(given, wanted, tokens, request, notes)
    planned["max_model_len"] = length
    if tensor > 1 or "tensor_parallel_size" in planned:
        planned["tensor_parallel_size"] = tensor
    if pipeline > 1 or "pipeline_parallel_size" in planned:
        planned["pipeline_parallel_size"] = pipeline
    if len({card.name for card in cards}) > 1:
        notes.append("the cards differ: the smallest counts for all")
    if request > length and tokens >= length:
        notes.append(
            f"a request with an image of the largest size takes {request:,} tokens, max_model_len is "
            f"{length:,}: such a sample is refused"
        )
    refusal = DOES_NOT_FIT if tokens < min(request, length) else ""
    return MemoryPlan(
        model=given.model,
        platform=f"{len(cards)} × {cards[0].name}" if len(cards) > 1 else cards[0].name,
        refusal=refusal,
        total_bytes=total,
        free_bytes=free,
        budget_bytes=budget,
        weight_bytes=weights,
        activation_bytes=activations,
        overhead_bytes=overhead,
        kv_bytes=kv,
        kv_bytes_per_token=per_token,
        kv_tokens=tokens,
        request_tokens=request,
        images_in_flight=tokens // request,
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        max_model_len=length,
        dtype=dtype,
        quantization=quantization,
        utilization=utilization,
        replicas=_dealt(given.cards, cards, number),
        notes=tuple(notes),
        engine_options=planned,
        planned_for=given,
    )


def _freest(cards: Sequence[Card], number: int) -> tuple[Card, ...]:
    """The `number` cards with the most free memory; in their own order where it is about equal."""

    def held(card: Card) -> int:
        share = 1 if card.free_bytes is None else card.free_bytes / card.total_bytes
        return round((1 - share) * 20)

    chosen = sorted(cards, key=held)[:number]
    return tuple(card for card in cards if card in chosen)


def _dealt(
    all_cards: Sequence[Card], chosen: Sequence[Card], number: int
) -> tuple[tuple[str, ...], ...]:
    """The names of the cards of each replica; () for one engine on the first visible cards."""
    if number == 1 and tuple(all_cards[: len(chosen)]) == tuple(chosen):
        return ()
    each = max(1, len(chosen) // number)
    names = [str(card.index) for card in chosen]
    return tuple(tuple(names[at : at + each]) for at in range(0, each * number, each))


def _dtype(
    given: PlanRequest, options: Mapping[str, Any], notes: list[str], cards: Sequence[Card]
) -> str:
    """The dtype: as asked, but float16 for bfloat16 on cards without it, unless the user gave it.

    A change is added to `notes`.
    """
    asked = str(options.get("dtype", "auto"))
    lacking = asked in ("auto", "bfloat16") and not all(card.bfloat16 for card in cards)
    if lacking and not (asked == "bfloat16" and "dtype" in given.pinned):
        notes.append(
            f"{cards[0].name} has no bfloat16 (compute capability 8.0): float16, whose smaller range "
            "can change answers and, rarely, overflow"
        )
        return "float16"
    return "bfloat16" if asked == "auto" else asked


def _utilization(
    given: PlanRequest, asked: float, total: int, free: int, notes: list[str]
) -> float:
    """gpu_memory_utilization: as asked, or less where the card has less free memory.

    vLLM refuses to start where less is free than it may use, and needs room for image embeddings
    besides. A change is added to `notes`.
    """
    allowed = int((free / total - 0.01 - ENCODER_CACHE_SHARE) * 100) / 100
    if allowed < asked:
        notes.append(
            f"{gib(total - free)} of the card are held by others: utilisation {allowed:.2f}"
        )
        asked = max(0.0, allowed)
    if given.reduced:
        asked = round(asked - 0.07, 2)
    return min(asked, HIGHEST_UTILIZATION)


def _length(given: PlanRequest, wanted: int, tokens: int, request: int, notes: list[str]) -> int:
    """max_model_len: as wanted, or less where the KV cache cannot hold one request of that length.

    A change is added to `notes`.
    """
    if tokens >= wanted or "max_model_len" in given.pinned or tokens < request:
        return wanted
    length = max(tokens // 1024 * 1024, request)
    notes.append(f"max_model_len {length:,} in place of {wanted:,}: the KV cache holds no more")
    return length
