"""Memory is planned, not discovered: arithmetic on a model's shape, the engine's options and the cards.

Called before an engine starts (the plan's `engine_options` go to it), by the environment check, and
by `pixtrack models show`. Imports neither vllm nor torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.schema import ModelConfig
from tasks.environment.cards import Card
from tasks.environment.estimate import (
    COMFORTABLE_REQUESTS,
    DEFAULT_UTILIZATION,
    ENCODER_CACHE_SHARE,
    HIGHEST_UTILIZATION,
    USUAL_REQUESTS_AT_ONCE,
    activation_bytes,
    overhead_bytes,
    replicas,
    roomy_bytes,
    splits,
    value_bytes,
    weight_bytes,
)
from tasks.environment.plan import MemoryPlan, Question, gib
from tasks.environment.reading import model_shape

__all__ = ["MemoryPlan", "plan_for_model", "plan_memory"]

EXPECTED_QUESTION_TOKENS = 512
"""Prompt beside the image where the dataset is not known: the longest prompts in use stay below."""
EXPECTED_ANSWER_TOKENS = 256
DOES_NOT_FIT = "does not fit"


def plan_for_model(
    config: ModelConfig,
    directory: Path | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    max_prompt_tokens: int | None = None,
    max_tokens: int | None = None,
    refuse: bool = True,
) -> MemoryPlan:
    """The plan of a model on the cards that are here, or on the CPU engine where that is installed.

    `options` are the user's engine options. With `refuse`, raises UserError where it does not fit.
    """
    from tasks.environment.detection import detect
    from tasks.environment.versions import engine_platform

    cards = () if engine_platform() == "cpu" else detect().cards
    plan = plan_memory(
        config,
        options,
        cards,
        max_prompt_tokens,
        max_tokens,
        directory=directory,
    )
    return plan.require() if refuse else plan


def plan_memory(
    model: ModelConfig | Path,
    options: Mapping[str, Any] | None,
    cards: Sequence[Card],
    max_prompt_tokens: int | None = None,
    max_tokens: int | None = None,
    *,
    directory: Path | None = None,
    ram_bytes: int | None = None,
) -> MemoryPlan:
    """How the model is laid out on `cards` (none: vLLM's CPU engine in `ram_bytes` of memory).

    `model` is a configuration, or a directory with a model's files. `options` are engine options
    of the user: they stand, and the plan is made around them. `max_prompt_tokens` is the longest
    prompt, images included; None: one image of the largest size and a long question.
    """
    config = model if isinstance(model, ModelConfig) else None
    shape = model_shape(config, directory if config else Path(model))  # type: ignore[arg-type]
    name = config.title if config else Path(model).name  # type: ignore[arg-type]
    user = {**(config.given if config else {}), **(options or {})}
    base = dict(config.engine) if config else {}
    recipe = next(
        (
            r
            for r in (config.recipes if config else ())
            if len(cards) >= r.count and all(r.cards in card.name for card in cards[: r.count])
        ),
        None,
    )
    if recipe is not None:
        base |= recipe.engine
    if ram_bytes is None and not cards:
        import psutil

        ram_bytes = psutil.virtual_memory().available
    return _plan(
        Question(
            model=name,
            shape=shape,
            options={**base, **user},
            pinned=frozenset(user),
            cards=tuple(cards),
            ram_bytes=ram_bytes or 0,
            prompt_tokens=max_prompt_tokens or shape.image_tokens + EXPECTED_QUESTION_TOKENS,
            answer_tokens=max_tokens or EXPECTED_ANSWER_TOKENS,
            recipe=recipe.source if recipe else "",
            planner=_plan,
        )
    )


def _plan(question: Question) -> MemoryPlan:
    """The first layout that is comfortable, else the best that fits, else fp8, else a refusal."""
    from tasks.environment.cpu_memory import plan_cpu

    if not question.cards:
        return plan_cpu(question)
    best = _best(question, question.options)
    if best.fits:
        return best
    if "gpu_memory_utilization" not in question.options:
        tight = _best(question, {**question.options, "gpu_memory_utilization": HIGHEST_UTILIZATION})
        if tight.fits:
            note = f"utilisation {tight.utilization:.2f} in place of {DEFAULT_UTILIZATION}: it is tight"
            return replace(tight, notes=(note, *tight.notes))
    fp8 = _with_fp8(question)
    if fp8 is not None and fp8.fits:
        return fp8
    return replace(best, refusal=_refusal(question, best, tried_fp8=fp8 is not None))


def _with_fp8(question: Question) -> MemoryPlan | None:
    """The plan with weights turned to fp8 while loading; None where that is not possible or not ours."""
    if (
        question.shape.quantization
        or "quantization" in question.options
        or not all(card.fp8_weights for card in question.cards)
    ):
        return None
    plan = _best(question, {**question.options, "quantization": "fp8"})
    note = (
        f"the weights are turned to fp8 while loading: in {plan.dtype} they do not fit; answers can "
        "differ from the full model's"
    )
    return replace(plan, notes=(note, *plan.notes))


def _best(question: Question, options: Mapping[str, Any]) -> MemoryPlan:
    """Over the ways to split the model on the cards: the smallest comfortable, else the roomiest."""
    number = replicas(options)
    plans = [
        _layout(question, options, tensor, pipeline)
        for tensor, pipeline in splits(question.shape, options, len(question.cards) // number)
    ]
    if not plans:
        wanted = (
            f"{options.get('tensor_parallel_size', 1)} × {options.get('pipeline_parallel_size', 1)}"
        )
        wanted = f"tensor × pipeline parallel {wanted}"
        if number > 1:
            wanted = f"{number} replicas with {wanted}"
        plan = _layout(question, options, 1, 1)
        return replace(
            plan,
            refusal=f"{question.model}: {wanted} is asked for and {len(question.cards)} cards are "
            f"here (or its {question.shape.heads} attention heads do not divide): change "
            f"{'data_parallel_size or ' if number > 1 else ''}tensor_parallel_size",
        )
    comfortable = [
        p for p in plans if p.fits and p.kv_tokens >= COMFORTABLE_REQUESTS * p.request_tokens
    ]
    if comfortable:
        return comfortable[0]
    return max(plans, key=lambda p: (p.fits, p.kv_tokens, -p.weight_bytes))


def _layout(
    question: Question, options: Mapping[str, Any], tensor: int, pipeline: int
) -> MemoryPlan:
    """The arithmetic of one split."""
    shape = question.shape
    number = replicas(options)
    cards = _freest(question.cards, tensor * pipeline * number)
    notes: list[str] = []
    planned = {key: value for key, value in options.items() if key != "data_parallel_size"}
    if question.recipe:
        notes.append(f"options of {question.recipe}")
    dtype = _dtype(question, options, notes, cards)
    planned["dtype"] = dtype
    quantization = str(options.get("quantization") or shape.quantization or "")

    total = min(card.total_bytes for card in cards)
    free = min(
        card.free_bytes if card.free_bytes is not None else card.total_bytes for card in cards
    )
    utilization = float(options.get("gpu_memory_utilization", DEFAULT_UTILIZATION))
    if "gpu_memory_utilization" not in question.pinned:
        utilization = _utilization(question, utilization, total, free, notes)
    planned["gpu_memory_utilization"] = utilization

    weights = weight_bytes(shape, dtype, str(options.get("quantization") or ""), tensor, pipeline)
    batched = options.get("max_num_batched_tokens")
    if question.reduced and "max_num_batched_tokens" not in question.pinned:
        batched = max(shape.image_tokens, 4096)
        planned["max_num_batched_tokens"] = batched
        planned.setdefault("max_num_seqs", 64)
        if "enforce_eager" not in question.pinned:
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
    request = question.prompt_tokens + question.answer_tokens
    wanted = int(options.get("max_model_len") or shape.context_tokens)
    if "gpu_memory_utilization" not in options:
        at_once = max(USUAL_REQUESTS_AT_ONCE, int(planned.get("max_num_seqs") or 0))
        roomy = roomy_bytes(at_once * wanted * per_token, weights, activations, overhead)
        utilization = min(utilization, max(0.01, math.ceil(100 * roomy / total) / 100))
        planned["gpu_memory_utilization"] = utilization
        budget = int(total * utilization)
    kv = max(0, budget - weights - activations - overhead)
    tokens = kv // per_token
    length = _length(question, wanted, tokens, request, notes)
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
        model=question.model,
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
        replicas=_dealt(question.cards, cards, number),
        notes=tuple(notes),
        engine_options=planned,
        request=question,
    )


def _freest(cards: Sequence[Card], number: int) -> tuple[Card, ...]:
    """So many cards, those first of which others hold least; in their own order where that is alike."""

    def held(card: Card) -> int:
        share = 1 if card.free_bytes is None else card.free_bytes / card.total_bytes
        return round((1 - share) * 20)

    chosen = sorted(cards, key=held)[:number]
    return tuple(card for card in cards if card in chosen)


def _dealt(
    all_cards: Sequence[Card], chosen: Sequence[Card], number: int
) -> tuple[tuple[str, ...], ...]:
    """The chosen cards dealt out to the replicas; () where one engine takes the first that it sees."""
    if number == 1 and tuple(all_cards[: len(chosen)]) == tuple(chosen):
        return ()
    each = max(1, len(chosen) // number)
    names = [str(card.index) for card in chosen]
    return tuple(tuple(names[at : at + each]) for at in range(0, each * number, each))


def _dtype(
    question: Question, options: Mapping[str, Any], notes: list[str], cards: Sequence[Card]
) -> str:
    """As asked; float16 in place of bfloat16 on cards without it, unless the user insists."""
    asked = str(options.get("dtype", "auto"))
    lacking = asked in ("auto", "bfloat16") and not all(card.bfloat16 for card in cards)
    if lacking and not (asked == "bfloat16" and "dtype" in question.pinned):
        notes.append(
            f"{cards[0].name} has no bfloat16 (compute capability 8.0): float16, whose smaller range "
            "can change answers and, rarely, overflow"
        )
        return "float16"
    return "bfloat16" if asked == "auto" else asked


def _utilization(
    question: Question, asked: float, total: int, free: int, notes: list[str]
) -> float:
    """What the card's free memory allows: vLLM refuses to start where less is free than it may use,
    and the image embeddings come beside that.
    """
    allowed = int((free / total - 0.01 - ENCODER_CACHE_SHARE) * 100) / 100
    if allowed < asked:
        notes.append(
            f"{gib(total - free)} of the card are held by others: utilisation {allowed:.2f}"
        )
        asked = max(0.0, allowed)
    if question.reduced:
        asked = round(asked - 0.07, 2)
    return min(asked, HIGHEST_UTILIZATION)


def _length(question: Question, wanted: int, tokens: int, request: int, notes: list[str]) -> int:
    """max_model_len: as wanted, less where the KV cache does not hold one request of that length."""
    if tokens >= wanted or "max_model_len" in question.pinned or tokens < request:
        return wanted
    length = max(tokens // 1024 * 1024, request)
    notes.append(f"max_model_len {length:,} in place of {wanted:,}: the KV cache holds no more")
    return length


def _refusal(question: Question, plan: MemoryPlan, tried_fp8: bool) -> str:
    needed = plan.weight_bytes + plan.activation_bytes + plan.overhead_bytes
    needed += plan.request_tokens * plan.kv_bytes_per_token
    cards = plan.tensor_parallel * plan.pipeline_parallel
    if plan.refusal != DOES_NOT_FIT:
        return plan.refusal
    held = (
        " (other processes hold memory: see pixtrack check)"
        if plan.free_bytes < 0.9 * plan.total_bytes
        else ""
    )
    return (
        f"{question.model} does not fit on {cards} × {question.cards[0].name}: a card needs "
        f"{gib(needed)} (weights {gib(plan.weight_bytes)}, activations {gib(plan.activation_bytes)}, "
        f"overhead {gib(plan.overhead_bytes)}, KV cache of one request "
        f"{gib(plan.request_tokens * plan.kv_bytes_per_token)}) and may use {gib(plan.budget_bytes)}"
        f"{held}{', and fp8 does not fit either' if tried_fp8 else ''}: use more or larger "
        "cards, a quantised model, or an endpoint"
    )
