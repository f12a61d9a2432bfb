"""The memory plan of vLLM's CPU engine, which keeps weights and KV cache in the machine's RAM."""

from __future__ import annotations

import os

from pixtrack.tasks.environment.cards import GIB, MIB
from pixtrack.tasks.environment.estimate import replicas, value_bytes, weight_bytes
from pixtrack.tasks.environment.memory_plan import MemoryPlan, PlanRequest, gib

PROCESS_BYTES = 2 * GIB
"""Memory of the engine's processes without weights: torch, vLLM, buffers (measured: 1.5 to 2
GB)."""
REQUESTS_IN_FLIGHT = 64
"""Requests that the KV cache is sized for: more than sixteen cores can work on at once."""
LEAST_KV_BYTES = 64 * MIB


def plan_cpu(given: PlanRequest) -> MemoryPlan:
    """Plans a KV cache for REQUESTS_IN_FLIGHT requests, in at most half of the remaining memory.

    VLLM_CPU_KVCACHE_SPACE (GiB) overrides its size.
    """
    shape = given.shape
    notes: list[str] = []
    planned = {k: v for k, v in given.options.items() if k != "data_parallel_size"}
    number = replicas(given.options)
    if number > 1:
        notes.append(f"{number} replicas share the machine's cores: good for a test, not for speed")
    dtype = str(planned.get("dtype", "auto"))
    dtype = "bfloat16" if dtype == "auto" else dtype
    weights = weight_bytes(shape, dtype, "", 1, 1)
    per_token = shape.kv_bytes_per_token(value_bytes(dtype, 2))
    request = given.prompt_tokens + given.answer_tokens
    wanted = int(planned.get("max_model_len") or shape.context_tokens)
    left = given.ram_bytes // number - weights - PROCESS_BYTES
    chosen = os.environ.get("VLLM_CPU_KVCACHE_SPACE", "")
    if chosen.isdigit() and int(chosen):
        kv = int(chosen) * GIB
        notes.append(f"KV cache by VLLM_CPU_KVCACHE_SPACE={chosen}")
    elif "kv_cache_memory_bytes" in planned:
        kv = int(planned["kv_cache_memory_bytes"])
    else:
        useful = REQUESTS_IN_FLIGHT * max(request, min(wanted, 2 * request)) * per_token
        useful = max(LEAST_KV_BYTES, -(-useful // MIB) * MIB)
        share = 4 if given.reduced else 2
        kv = max(0, min(useful, left // share))
        planned["kv_cache_memory_bytes"] = kv
    tokens = kv // per_token
    length = wanted
    if request <= tokens < wanted and "max_model_len" not in given.pinned:
        length = max(request, tokens // 1024 * 1024)
        notes.append(f"max_model_len {length:,} in place of {wanted:,}: the KV cache holds no more")
    planned["max_model_len"] = length
    refusal = ""
    if left < kv or tokens < request:
        need = weights + PROCESS_BYTES + request * per_token
        refusal = (
            f"{given.model} does not fit in this machine's memory: it needs {gib(need)} "
            f"(weights {gib(weights)}) and {gib(given.ram_bytes)} are free: use a GPU, an "
            "endpoint, or the small checkpoint (--model pixtral-nano)"
        )
    elif shape.parameters > 2e9:
        notes.append("a model of this size takes minutes a question on a CPU")
    return MemoryPlan(
        model=given.model,
        platform="CPU",
        refusal=refusal,
        total_bytes=given.ram_bytes,
        free_bytes=given.ram_bytes,
        budget_bytes=given.ram_bytes,
        weight_bytes=weights,
        activation_bytes=0,
        overhead_bytes=PROCESS_BYTES,
        kv_bytes=kv,
        kv_bytes_per_token=per_token,
        kv_tokens=tokens,
        request_tokens=request,
        images_in_flight=tokens // request,
        tensor_parallel=1,
        pipeline_parallel=1,
        max_model_len=length,
        dtype=dtype,
        quantization=shape.quantization,
        utilization=1.0,
        replicas=((),) * number if number > 1 else (),
        notes=tuple(notes),
        engine_options=planned,
        planned_for=given,
    )
