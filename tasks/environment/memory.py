"""Plans an engine's memory by arithmetic on the model's shape, the engine options and the cards.

Called before an engine starts (it gets the plan's `engine_options`), by the environment check, and
by `pixtrack models show`. Imports neither vllm nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.environment.cards import Card
from pixtrack.tasks.environment.estimate import (
    COMFORTABLE_REQUESTS,
    DEFAULT_UTILIZATION,
    HIGHEST_UTILIZATION,
    replicas,
    splits,
)
from pixtrack.tasks.environment.layout import DOES_NOT_FIT, layout
from pixtrack.tasks.environment.memory_plan import MemoryPlan, PlanRequest, gib
from pixtrack.tasks.environment.reading import model_shape

__all__ = ["MemoryPlan", "plan_for_model", "plan_memory"]

EXPECTED_QUESTION_TOKENS = 512
"""Tokens of a prompt beside its image where the dataset is not known; the shipped prompts are
shorter."""
EXPECTED_ANSWER_TOKENS = 256


def plan_for_model(
    config: ModelConfig,
    directory: Path | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    max_prompt_tokens: int | None = None,
    max_tokens: int | None = None,
    refuse: bool = True,
) -> MemoryPlan:
    """Plans a model for the cards of this machine, or for the CPU engine where that is installed.

    Args:
        config: the model
        directory: its files; None where they are not here yet
        options: engine options of the user, which are never changed
        max_prompt_tokens: the longest prompt, images included; None: one of the largest image and a
            long question
        max_tokens: the longest answer
        refuse: whether to raise UserError where the model does not fit
    """
    from pixtrack.tasks.environment.detection import detect
    from pixtrack.tasks.environment.versions import engine_platform

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
    """Plans how a model is laid out on cards, or in the machine's memory without any.

    Args:
        model: a configuration, or a directory with a model's files
        options: engine options of the user, which are never changed
        cards: the cards; empty: vLLM's CPU engine
        max_prompt_tokens: the longest prompt, images included; None: one image of the largest size
            and a long question
        max_tokens: the longest answer
        directory: the files of a configured model
        ram_bytes: memory for the CPU engine

    Returns:
        the plan; one that does not fit has a `refusal`
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
        PlanRequest(
            model=name,
            shape=shape,
            options={**base, **user},
            pinned=frozenset(user),
            cards=tuple(cards),
            ram_bytes=ram_bytes or 0,
            prompt_tokens=max_prompt_tokens or shape.image_tokens + EXPECTED_QUESTION_TOKENS,
            answer_tokens=max_tokens or EXPECTED_ANSWER_TOKENS,
            recipe=recipe.source if recipe else "",
            max_images=config.max_images if config else 1,
            planner=_plan,
        )
    )


def _plan(given: PlanRequest) -> MemoryPlan:
    """The smallest comfortable layout, else the best that fits, else one with fp8, else a
    refusal.
    """
    from pixtrack.tasks.environment.cpu_memory import plan_cpu

    if not given.cards:
        return plan_cpu(given)
    best = _best(given, given.options)
    if best.fits:
        return best
    if "gpu_memory_utilization" not in given.options:
        tight = _best(given, {**given.options, "gpu_memory_utilization": HIGHEST_UTILIZATION})
        if tight.fits:
            note = f"utilisation {tight.utilization:.2f} in place of {DEFAULT_UTILIZATION}: it is tight"
            return replace(tight, notes=(note, *tight.notes))
    fp8 = _with_fp8(given)
    if fp8 is not None and fp8.fits:
        return fp8
    return replace(best, refusal=_refusal(given, best, tried_fp8=fp8 is not None))


def _with_fp8(given: PlanRequest) -> MemoryPlan | None:
    """The plan with weights quantised to fp8 while loading; None where cards or user rule it
    out.
    """
    if (
        given.shape.quantization
        or "quantization" in given.options
        or not all(card.fp8_weights for card in given.cards)
    ):
        return None
    plan = _best(given, {**given.options, "quantization": "fp8"})
    note = (
        f"the weights are turned to fp8 while loading: in {plan.dtype} they do not fit; answers can "
        "differ from the full model's"
    )
    return replace(plan, notes=(note, *plan.notes))


def _best(given: PlanRequest, options: Mapping[str, Any]) -> MemoryPlan:
    """Of the ways to split the model: the smallest comfortable one, else that with the most
    room.
    """
    number = replicas(options)
    plans = [
        layout(given, options, tensor, pipeline)
        for tensor, pipeline in splits(given.shape, options, len(given.cards) // number)
    ]
    if not plans:
        wanted = (
            f"{options.get('tensor_parallel_size', 1)} × {options.get('pipeline_parallel_size', 1)}"
        )
        wanted = f"tensor × pipeline parallel {wanted}"
        if number > 1:
            wanted = f"{number} replicas with {wanted}"
        plan = layout(given, options, 1, 1)
        return replace(
            plan,
            refusal=f"{given.model}: {wanted} is asked for and {len(given.cards)} cards are "
            f"here (or its {given.shape.heads} attention heads do not divide): change "
            f"{'data_parallel_size or ' if number > 1 else ''}tensor_parallel_size",
        )
    comfortable = [
        p for p in plans if p.fits and p.kv_tokens >= COMFORTABLE_REQUESTS * p.request_tokens
    ]
    if comfortable:
        return comfortable[0]
    return max(plans, key=lambda p: (p.fits, p.kv_tokens, -p.weight_bytes))


def _refusal(given: PlanRequest, plan: MemoryPlan, tried_fp8: bool) -> str:
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
        f"{given.model} does not fit on {cards} × {given.cards[0].name}: a card needs "
        f"{gib(needed)} (weights {gib(plan.weight_bytes)}, activations {gib(plan.activation_bytes)}, "
        f"overhead {gib(plan.overhead_bytes)}, KV cache of one request "
        f"{gib(plan.request_tokens * plan.kv_bytes_per_token)}) and may use {gib(plan.budget_bytes)}"
        f"{held}{', and fp8 does not fit either' if tried_fp8 else ''}: use more or larger "
        "cards, a quantised model, or an endpoint"
    )
