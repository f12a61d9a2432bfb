"""What vLLM is told before it starts, and what it says of itself afterwards."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import os
from pathlib import Path
from typing import Any

from pixtrack.configs.engine_defaults import (
    ENCODER_CACHE_SHARE,
    USUAL_BATCHED_TOKENS,
    USUAL_REQUESTS_AT_ONCE,
)
from pixtrack.configs.errors import UserError
from pixtrack.tasks.runs.protocol import EngineSpec

STREAM_INTERVAL = 1_000_000
"""Tokens between two outputs of one request. The first token is always told at once (the followers
wait for it), the rest comes with the last: two wake-ups a request instead of one a token."""

CPU_DEFAULTS = {"enforce_eager": True, "kv_cache_memory_bytes": 1 << 30}
"""On a CPU compilation takes minutes, and by default half of the memory becomes KV cache."""

SMALL_MODEL_BYTES = 2_000_000_000

GPU_DEFAULTS = {
    "max_num_batched_tokens": USUAL_BATCHED_TOKENS,
    "max_num_seqs": USUAL_REQUESTS_AT_ONCE,
}


def is_small(model_dir: Path) -> bool:
    """Whether starting the engine takes longer than what its kernels could gain."""
    size = sum(file.stat().st_size for file in model_dir.glob("*.safetensors"))
    return size < SMALL_MODEL_BYTES


def do_without_flashinfer() -> None:
    """Where flashinfer is not installed vLLM 0.24 fails to import its sampler; greedy needs none."""
    if importlib.util.find_spec("flashinfer") is None:
        os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")


def inspect_models_here() -> None:
    """Spares a machine's first start the process in which vLLM looks at the model's class.

    vLLM keeps CUDA out of the front end by it; on a CPU it only costs 9 s on two cores. The front
    end imports the class anyway.
    """
    from vllm.model_executor.models import registry

    if hasattr(registry, "_run_in_subprocess"):
        registry._run_in_subprocess = lambda inspect: inspect()


def compute_in_engine_core(config: Any, arguments: dict[str, Any]) -> None:
    """Lets the engine core compute by itself instead of in a worker process.

    On a CPU vLLM always starts a worker, whose threads it binds to cores; that is one more process
    that imports everything (8 of 26 s on two cores), and the binding gains nothing for a small model.
    """
    chosen = arguments.get("distributed_executor_backend")
    if config.parallel_config.world_size == 1 and chosen is None:
        config.parallel_config.distributed_executor_backend = "uni"


def engine_arguments(spec: EngineSpec) -> dict[str, Any]:
    """AsyncEngineArgs as keywords: ours, then the model's own options over them."""
    arguments: dict[str, Any] = {
        "model": spec.model_dir,
        "limit_mm_per_prompt": {"image": spec.max_images},
        "stream_interval": STREAM_INTERVAL,
        "seed": 0,
        "disable_log_stats": True,
    }
    if spec.format == "mistral":
        arguments |= dict.fromkeys(("tokenizer_mode", "config_format", "load_format"), "mistral")
    arguments |= spec.options
    if spec.weights == "dummy":
        arguments["load_format"] = "dummy"
    return arguments


def checked_arguments(engine_args: Any, arguments: dict[str, Any]) -> Any:
    """The engine's arguments; an unknown one is named with the nearest that this vLLM has."""
    known = {field.name for field in dataclasses.fields(engine_args)}
    unknown = sorted(set(arguments) - known)
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"vLLM has no engine option {unknown[0]!r}.{hint} Correct engine: in the model's file, or --engine"
        )
    return engine_args(**arguments)


def kv_cache_tokens(cache: Any) -> int | None:
    """Tokens that the KV cache holds, counted by vLLM itself where it does (hybrid models)."""
    told = getattr(cache, "kv_cache_size_tokens", None)
    if told:
        return int(told)
    blocks, size = cache.num_gpu_blocks, cache.block_size
    return int(blocks) * int(size) if blocks and size else None


def widen_encoder_cache(config: Any, platform: Any) -> int | None:
    """Lets more image embeddings stay on the GPU; returns how many tokens' worth, if any.

    vLLM keeps as many as fit a step (one page). But KV blocks are shared whole, an image ends
    within one, and the followers compute that block's rest: if its embeddings are gone, the vision
    encoder runs again for them, a fifth of the image's cost.
    """
    scheduler = config.scheduler_config
    if not config.model_config.is_multimodal_model or not hasattr(scheduler, "encoder_cache_size"):
        return None
    memory = 1 << 34 if platform.is_cpu() else platform.get_device_total_memory()
    embedding = config.model_config.get_hidden_size() * config.model_config.dtype.itemsize
    wide = int(memory * ENCODER_CACHE_SHARE / embedding)
    scheduler.encoder_cache_size = max(scheduler.encoder_cache_size, wide)
    return int(scheduler.encoder_cache_size)
