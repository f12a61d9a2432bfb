"""Whether a model's replicas run on a Ray cluster, on which one, and with which layout."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.environment import Card, Check, MemoryPlan
from pixtrack.tasks.inference.engines import engine_kind
from pixtrack.tasks.inference.host.cluster import connection
from pixtrack.tasks.inference.host.cluster.driver import EngineCluster
from pixtrack.tasks.inference.host.cluster.nodes import Node, survey, usable
from pixtrack.tasks.inference.host.cluster.planning import (
    ClusterPlan,
    asked_replicas,
    plan_on,
)
from pixtrack.tasks.inference.host.cluster.ray_fleet import Placement, RayFleet
from pixtrack.tasks.inference.host.cluster.replica import ReplicaPlan
from pixtrack.tasks.inference.host.cluster.report import report_on
from pixtrack.tasks.inference.host.engine_host import EngineHost
from pixtrack.tasks.runs.protocol import EngineSpec

_nodes: dict[str, tuple[Node, ...]] = {}
"""What the nodes of each cluster said, asked once a process."""


def cluster_of(model: ModelConfig) -> str | None:
    """The cluster that the model's replicas run on; None for one engine, which needs no Ray.

    "auto" is the Ray that runs on this machine; "" one of our own, for several replicas where none
    runs. Raises UserError where Ray is needed and not installed.
    """
    if not engine_kind(model).runs_here:
        return None
    if model.cluster:
        connection.ray_module()
        return model.cluster
    if (asked_replicas(model) or 1) < 2:
        return None
    return "auto" if connection.running_here() else ""


def shared_cluster(model: ModelConfig) -> str | None:
    """The address of a cluster that others use too, whose nodes are asked; None: there is none."""
    return cluster_of(model) or None


def nodes_of(address: str, home: Home, model: ModelConfig | None = None) -> tuple[Node, ...]:
    """The cluster's nodes, with what each has. Raises UserError where there is no cluster."""
    key = f"{address} {model.name if model else ''}"
    if key not in _nodes:
        _nodes[key] = survey(address, home, model)
    return _nodes[key]


def cards_of(address: str, home: Home) -> tuple[Card, ...]:
    """The cards of the node that has most of them: what one replica may have."""
    nodes = usable(nodes_of(address, home), address)
    return max((node.cards for node in nodes), key=len)


def cluster_plan(model: ModelConfig, files: Path | None, home: Home) -> ClusterPlan | None:
    """How the model is laid out on its cluster; None where it has none.

    Raises UserError where it has no room there.
    """
    address = shared_cluster(model)
    if address is None:
        return None
    return plan_on(nodes_of(address, home, model), model, files, address)


def cluster_report(model: ModelConfig, files: Path | None, home: Home) -> list[Check] | None:
    """The report on the cluster's nodes, in place of this machine's; None without a cluster."""
    address = shared_cluster(model)
    if address is None:
        return None
    return report_on(address, nodes_of(address, home, model), model, files)


def report_of(address: str, model: ModelConfig | None, home: Home) -> list[Check]:
    """The report on that cluster. Raises UserError where there is none."""
    return report_on(address, nodes_of(address, home, model), model)


HostMaker = Callable[[EngineSpec, Path], EngineHost]


def host_maker(
    model: ModelConfig,
    home: Home,
    digest: str,
    plan: ClusterPlan | None,
    memory: MemoryPlan,
) -> HostMaker | None:
    """What makes the driver of the model's replicas; None where one engine will do.

    Args:
        model: the model
        home: the data home of this machine
        digest: of its files, which those of every node must match
        plan: its layout on a cluster that others use too; None: on this machine
        memory: the layout of one replica
    """
    if plan is None and len(memory.replicas) < 2:
        return None
    number = plan.replicas if plan else len(memory.replicas)
    placement = plan.placement if plan else _own_ray(memory)

    def make(spec: EngineSpec, log: Path) -> EngineHost:
        given: dict[str, object] = {"takes": "orders", "replicas": ()}
        if plan is not None and plan.spread:
            given["options"] = {**spec.options, "distributed_executor_backend": "ray"}
        spec_each = spec.model_copy(update=given)
        plans = [
            ReplicaPlan(
                number=replica,
                spec=spec_each,
                log=str(log),
                home=str(home.root),
                host=socket.gethostname(),
                model=model if plan else None,
                digest=digest,
                cards=() if plan else memory.replicas[replica],
                joins_ray=bool(plan and plan.spread),
            )
            for replica in range(number)
        ]
        return EngineCluster(spec_each, RayFleet(placement, plans), number)

    return make


def _own_ray(memory: MemoryPlan) -> Placement:
    """A Ray on this machine, with room for the replicas and nothing else.

    The memory plan has chosen the cards, so Ray does not count them.
    """
    return Placement("", own_cpus=len(memory.replicas))


def check_cluster(model: ModelConfig, home: Home) -> None:
    """Says what keeps the model from its cluster before any work is done.

    Raises UserError: Ray is not installed, no cluster is there, it is of another version, or has
    too little room. The memory of a model whose size nobody knows is planned once its files are
    here.
    """
    address = shared_cluster(model)
    if address is None:
        return
    nodes = nodes_of(address, home, model)
    usable(nodes, address)
    try:
        plan_on(nodes, model, None, address)
    except UserError as error:
        if "neither params.json nor config.json" not in str(error):
            raise
