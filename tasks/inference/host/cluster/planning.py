"""How many replicas of a model a cluster takes, and how each is laid out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.environment import Card, MemoryPlan, plan_memory
from pixtrack.tasks.inference.host.cluster.nodes import Node, usable
from pixtrack.tasks.inference.host.cluster.ray_fleet import Placement

REPLICAS = "data_parallel_size"


@dataclass(frozen=True)
class ClusterPlan:
    """The layout of every replica, and where they go."""

    memory: MemoryPlan
    replicas: int
    placement: Placement
    engine: dict[str, str]
    """vLLM's name, version and platform, the same on all nodes."""
    spread: bool = False
    """One replica takes cards of several nodes: vLLM places its parts through Ray."""


def plan_on(
    nodes: Sequence[Node], model: ModelConfig, files: Path | None, address: str
) -> ClusterPlan:
    """The plan of a model on the cluster's nodes, with as many replicas as asked, or as fit.

    Raises UserError where the model does not fit, and where fewer replicas have room than are asked
    for.
    """
    chosen = usable(nodes, address)
    asked = asked_replicas(model)
    if chosen[0].cards:
        return _on_cards(chosen, model, files, address, asked)
    return _on_cpus(chosen, model, files, address, asked)


def asked_replicas(model: ModelConfig) -> int | None:
    """The replicas that the command or the model's file asks for; None where neither says."""
    value = {**model.engine, **model.given}.get(REPLICAS)
    return None if value is None else int(value)


def _with_replicas(model: ModelConfig, number: int) -> ModelConfig:
    return model.model_copy(update={"given": {**model.given, REPLICAS: number}})


def _on_cards(
    nodes: Sequence[Node], model: ModelConfig, files: Path | None, address: str, asked: int | None
) -> ClusterPlan:
    cards = _numbered(nodes)
    largest = max(nodes, key=lambda node: len(node.cards))
    one = _plan(_with_replicas(model, 1), files, largest.cards)
    spread = not one.fits and len(cards) > len(largest.cards)
    if spread:
        one = _plan(_with_replicas(model, 1), files, cards)
    one.require()
    each = one.tensor_parallel * one.pipeline_parallel
    room = len(cards) // each if spread else sum(len(node.cards) // each for node in nodes)
    number = room if asked is None else asked
    if number > room:
        there = ", ".join(f"{node.name} {len(node.cards)}" for node in nodes)
        raise UserError(
            f"--cluster {address}: {number} replicas with {each} card{'s' * (each > 1)} each are "
            f"asked for, and there is room for {room} (cards: {there}): use -dp {room}, or add nodes"
        )
    split = {"tensor_parallel_size": one.tensor_parallel}
    if one.pipeline_parallel > 1:
        split["pipeline_parallel_size"] = one.pipeline_parallel
    laid_out = model.model_copy(update={"given": {**split, **model.given, REPLICAS: number}})
    memory = _plan(laid_out, files, cards).require()
    placement = Placement(address, gpus=0 if spread else each)
    return ClusterPlan(memory, number, placement, dict(nodes[0].engine), spread)


def _on_cpus(
    nodes: Sequence[Node], model: ModelConfig, files: Path | None, address: str, asked: int | None
) -> ClusterPlan:
    number = len(nodes) if asked is None else asked
    cpus = _cpus_each([node.cpus for node in nodes], number)
    if not cpus:
        there = ", ".join(f"{node.name} {node.cpus:g}" for node in nodes)
        raise UserError(
            f"--cluster {address}: {number} replicas are asked for, and a replica on a CPU takes at "
            f"least one (CPUs: {there}): use a smaller -dp, or add nodes"
        )
    on_one = max(Counter(_spread_out([node.cpus for node in nodes], cpus, number)).values())
    least = min(node.ram_bytes for node in nodes)
    memory = plan_memory(
        _with_replicas(model, number),
        None,
        (),
        directory=files,
        ram_bytes=least // on_one * number,
    ).require()
    return ClusterPlan(memory, number, Placement(address, cpus=cpus), dict(nodes[0].engine))


def _plan(model: ModelConfig, files: Path | None, cards: Sequence[Card]) -> MemoryPlan:
    return plan_memory(model, None, cards, directory=files)


def _numbered(nodes: Sequence[Node]) -> tuple[Card, ...]:
    """The cards of all nodes, each with a number of its own."""
    cards = [card for node in nodes for card in node.cards]
    return tuple(replace(card, index=number) for number, card in enumerate(cards))


def _cpus_each(cpus: Sequence[float], number: int) -> int:
    """The most CPUs that each of so many replicas can have on nodes with these; 0: not even one."""
    most = int(max(cpus, default=0))
    for each in range(most, 0, -1):
        if sum(math.floor(have / each) for have in cpus) >= number:
            return each
    return 0


def _spread_out(cpus: Sequence[float], each: int, number: int) -> list[int]:
    """The node, by its place in the list, of each replica, fullest node last."""
    room = [math.floor(have / each) for have in cpus]
    places = []
    for _ in range(number):
        node = max(range(len(room)), key=lambda n: room[n])
        room[node] -= 1
        places.append(node)
    return places
