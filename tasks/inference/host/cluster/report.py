"""`pixtrack check --cluster`: every node line by line, and whether the model fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.environment import Check
from pixtrack.tasks.environment.report import failed, ok, warning
from pixtrack.tasks.inference.host.cluster.nodes import Node, usable
from pixtrack.tasks.inference.host.cluster.planning import plan_on

GIB = 1 << 30


def report_on(
    address: str, nodes: Sequence[Node], model: ModelConfig | None, files: Path | None = None
) -> list[Check]:
    """A line for each node, one for their engines, and one for the model. Never raises."""
    lines = [_of_node(node, model) for node in nodes]
    try:
        chosen = usable(nodes, address)
    except UserError as error:
        return [*lines, failed("cluster", str(error), "see each node's line")]
    skipped = len(nodes) - len(chosen)
    detail = f"{address}: {len(chosen)} of {len(nodes)} nodes can take replicas"
    detail += f", vLLM {chosen[0].version} for {chosen[0].platform}"
    cards = sum(len(node.cards) for node in chosen)
    detail += f", {cards} cards" if cards else ""
    lines.append(
        warning("cluster", detail, f"{skipped} without cards or with trouble: see their lines")
        if any(node.trouble for node in nodes)
        else ok("cluster", detail)
    )
    if model is not None:
        lines.append(_fit(address, nodes, model, files))
    return lines


def _of_node(node: Node, model: ModelConfig | None) -> Check:
    name = f"node {node.name}"
    if node.trouble:
        return warning(name, node.trouble, "until then no replica goes there")
    cards = ", ".join(
        f"{card.name} {card.total_bytes / GIB:.0f} GiB"
        + ("" if card.free_bytes is None else f" ({card.free_bytes / GIB:.0f} free)")
        for card in node.cards
    )
    parts = [
        cards or "no card",
        f"{node.cpus:g} CPUs for replicas",
        f"{node.ram_bytes / GIB:.0f} GiB of memory available",
        f"vLLM {node.version} for {node.platform}",
        f"{node.home}: {node.disk_bytes / 1e9:.0f} GB free",
    ]
    if model is None:
        return ok(name, ", ".join(parts))
    if node.has_model:
        return ok(name, ", ".join([*parts, f"has {model.name}"]))
    missing = model.size_gb * 1e9
    if missing > node.disk_bytes:
        return failed(
            name,
            ", ".join(parts),
            f"{model.name} is not there and takes {missing / 1e9:.0f} GB: free space, or set "
            "PIXTRACK_HOME to a larger disk before `ray start`",
        )
    return ok(name, ", ".join([*parts, f"{model.name} is fetched when it is used"]))


def _fit(address: str, nodes: Sequence[Node], model: ModelConfig, files: Path | None) -> Check:
    name = f"memory for {model.name}"
    try:
        plan = plan_on(nodes, model, files, address)
    except UserError as error:
        if "neither params.json nor config.json" in str(error):
            return warning(name, str(error), "the plan is made once the files are here")
        return failed(name, str(error), "fewer replicas, a smaller model, or more nodes")
    replicas = "1 replica" if plan.replicas == 1 else f"{plan.replicas} replicas"
    detail = f"{replicas}: {plan.memory.layout()}"
    return (
        warning(name, detail, "; ".join(plan.memory.notes))
        if plan.memory.notes
        else ok(name, detail)
    )
