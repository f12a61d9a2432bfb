"""vLLM's settings before it starts, and what is read from it afterwards."""

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
"""Tokens between two outputs of one request. vLLM always reports the first token at once (followers
wait for it); the others are reported with the last, so that a request causes two wake-ups in place
of one for every token."""

CPU_DEFAULTS = {"enforce_eager": True, "kv_cache_memory_bytes": 1 << 30}
"""Options for CPUs, where compilation takes minutes, and half of the memory would become KV
cache."""

SMALL_MODEL_BYTES = 2_000_000_000

GPU_DEFAULTS = {
    "max_num_batched_tokens": USUAL_BATCHED_TOKENS,
    "max_num_seqs": USUAL_REQUESTS_AT_ONCE,
}


def is_small(model_dir: Path) -> bool:
    """Whether the model is so small that compiling kernels for it takes longer than they save."""
    size = sum(file.stat().st_size for file in model_dir.glob("*.safetensors"))
    return size < SMALL_MODEL_BYTES


def do_without_flashinfer() -> None:
    """Turns flashinfer's sampler off where it is not installed: vLLM 0.24 fails to import it.

    Greedy decoding does not use it.
    """
    if importlib.util.find_spec("flashinfer") is None:
        os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")


def inspect_models_here() -> None:
    """Makes vLLM inspect the model's class in this process in place of a separate one.

    The separate process keeps CUDA out of the front end. On a CPU it has no use and takes 9 s on
    two cores at a machine's first start; the front end imports the class anyway.
    """
    from vllm.model_executor.models import registry

    if hasattr(registry, "_run_in_subprocess"):
        registry._run_in_subprocess = lambda inspect: inspect()


def compute_in_engine_core(config: Any, arguments: dict[str, Any]) -> None:
    """Makes the engine core compute itself in place of a worker process.

    On a CPU vLLM always starts a worker, to bind its threads to cores. That process imports
    everything once more (8 of 26 s on two cores), and binding gains nothing for a small model.
    """
    chosen = arguments.get("distributed_executor_backend")
    if config.parallel_config.world_size == 1 and chosen is None:
        config.parallel_config.distributed_executor_backend = "uni"


def engine_arguments(spec: EngineSpec) -> dict[str, Any]:
    """The keywords of AsyncEngineArgs: pixtrack's, overridden by the spec's options."""
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
    """Makes AsyncEngineArgs. Raises UserError for an unknown option, with the nearest known one."""
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
    """Tokens that fit in the KV cache; by vLLM's own count where it has one (hybrid models)."""
    counted = getattr(cache, "kv_cache_size_tokens", None)
    if counted:
        return int(counted)
    blocks, size = cache.num_gpu_blocks, cache.block_size
    return int(blocks) * int(size) if blocks and size else None


def widen_encoder_cache(config: Any, platform: Any) -> int | None:
    """Enlarges vLLM's cache of image embeddings on the GPU.

    By default it holds the embeddings of one step (one page). An image ends within a block of the
    KV cache, and only whole blocks are shared, so each follower computes the rest of that block: if
    the embeddings are no longer cached, the vision encoder runs again, at a fifth of the image's
    cost.

    Returns:
        the size in tokens; None where it was not changed
    """
    scheduler = config.scheduler_config
    if not config.model_config.is_multimodal_model or not hasattr(scheduler, "encoder_cache_size"):
        return None
    memory = 1 << 34 if platform.is_cpu() else platform.get_device_total_memory()
    embedding = config.model_config.get_hidden_size() * config.model_config.dtype.itemsize
    wide = int(memory * ENCODER_CACHE_SHARE / embedding)
    scheduler.encoder_cache_size = max(scheduler.encoder_cache_size, wide)
    return int(scheduler.encoder_cache_size)
