"""What every node of a cluster has: cards, memory, vLLM, disk, and the model's files."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

import pixtrack
from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download import local_files
from pixtrack.tasks.environment import Card, detect, engine_version
from pixtrack.tasks.inference.host.cluster import connection

SURVEY_SECONDS = 60.0
"""For a node to answer; its first Python process reads packages from its disk."""


@dataclass(frozen=True)
class Node:
    """One machine of the cluster, as it says itself."""

    id: str
    name: str
    cpus: float = 0.0
    """As Ray counts them: what it may give to replicas."""
    cards: tuple[Card, ...] = ()
    """Those that Ray may give away."""
    engine: tuple[tuple[str, str], ...] = ()
    """vLLM's name, version and platform."""
    ram_bytes: int = 0
    disk_bytes: int = 0
    """Free, where its data home is."""
    home: str = ""
    pixtrack: str = ""
    python: str = ""
    has_model: bool = False
    trouble: str = ""
    """Why it cannot be used; everything else may be empty then."""

    @property
    def version(self) -> str:
        """Of its vLLM; "" without one."""
        return dict(self.engine).get("version", "")

    @property
    def platform(self) -> str:
        """What its vLLM runs on: "cuda", "corex", "cpu"; "" without one."""
        return dict(self.engine).get("platform", "")


def survey(address: str, home: Home, model: ModelConfig | None = None) -> tuple[Node, ...]:
    """Asks every node of the cluster, all at once. Connects for the time that it takes.

    Raises UserError as `connect` does; a node that cannot tell is in the answer, with its trouble.
    """
    connection.connect(address)
    try:
        return _ask_all(home, model)
    finally:
        connection.disconnect()


def _ask_all(home: Home, model: ModelConfig | None) -> tuple[Node, ...]:
    ray = connection.ray_module()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(look_around)
    alive = [node for node in ray.nodes() if node["Alive"]]
    asked = []
    for node in alive:
        where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = look.options(num_cpus=0, max_retries=0, scheduling_strategy=where)
        gpus = int(node["Resources"].get("GPU", 0))
        asked.append(options.remote(str(home.root), gpus, model))
    ray.wait(asked, num_returns=len(asked), timeout=SURVEY_SECONDS)
    found = []
    for node, answer in zip(alive, asked, strict=True):
        known = Node(node["NodeID"], node["NodeManagerHostname"])
        try:
            told = ray.get(answer, timeout=0)
        except Exception as error:
            told = replace(known, trouble=_trouble(error))
        cpus = float(node["Resources"].get("CPU", 0))
        told = replace(told, id=known.id, name=known.name, cpus=cpus)
        found.append(_checked(told))
    return tuple(sorted(found, key=lambda node: (node.name, node.id)))


def look_around(drivers_home: str, gpus: int, model: ModelConfig | None) -> Node:
    """What this machine has; run on a node. `gpus` is how many cards Ray may give away there."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "NoDevFiles"):
        del os.environ["CUDA_VISIBLE_DEVICES"]  # Ray hides the cards from a task without any
    home = Home(Path(os.environ.get("PIXTRACK_HOME") or drivers_home).expanduser().resolve())
    folder = home.root
    while not folder.exists():
        folder = folder.parent
    return Node(
        id="",
        name=platform.node(),
        cards=detect().cards[:gpus],
        engine=tuple(engine_version().items()),
        ram_bytes=psutil.virtual_memory().available,
        disk_bytes=shutil.disk_usage(folder).free,
        home=str(home.root),
        pixtrack=pixtrack.__version__,
        python=platform.python_version(),
        has_model=model is not None and local_files(model, home) is not None,
    )


def _checked(node: Node) -> Node:
    """With the trouble that makes its answers others than this machine's would be."""
    if node.trouble:
        return node
    ours = pixtrack.__version__
    if node.pixtrack != ours:
        trouble = f"has pixtrack {node.pixtrack}, this is {ours}: install the same there"
        return replace(node, trouble=trouble)
    if not node.version:
        trouble = (
            "has no vLLM: install it there, or set PIXTRACK_VLLM_PYTHON before `ray start` on it"
        )
        return replace(node, trouble=trouble)
    return node


def _trouble(error: Exception) -> str:
    text = str(error)
    if "No module named" in text:
        module = text.rsplit("No module named", 1)[1].split("\n")[0].strip(" '\"")
        return (
            f"has no {module.split('.')[0]} in Ray's Python: pip install 'pixtrack[ray]' there, "
            "and start Ray from that environment"
        )
    if type(error).__name__ == "GetTimeoutError":
        return f"did not answer within {SURVEY_SECONDS:.0f} s: look at it with `ray status`"
    line = next((part.strip() for part in reversed(text.splitlines()) if part.strip()), "")
    return f"cannot be asked ({type(error).__name__}: {line[:200]})"


def usable(nodes: Sequence[Node], address: str) -> tuple[Node, ...]:
    """The nodes that can take a replica, all with the same vLLM; those with cards where there are.

    Raises UserError where there is none, and where their engines differ.
    """
    fine = [node for node in nodes if not node.trouble]
    with_cards = [node for node in fine if node.cards and node.platform != "cpu"]
    chosen = with_cards or [node for node in fine if node.platform == "cpu" and node.cpus >= 1]
    if not chosen:
        reasons = "; ".join(f"{node.name} {_why_not(node)}" for node in nodes) or "it has no node"
        raise UserError(f"--cluster {address}: no node can take a replica: {reasons}")
    engines = {(node.version, node.platform) for node in chosen}
    if len(engines) > 1:
        told = ", ".join(f"{node.name}: vLLM {node.version} ({node.platform})" for node in chosen)
        raise UserError(
            f"--cluster {address}: the nodes' engines differ, and so might their answers ({told}): "
            "install one version everywhere"
        )
    return tuple(chosen)


def _why_not(node: Node) -> str:
    if node.trouble:
        return node.trouble
    if node.platform != "cpu":
        return "has no card that Ray may give away"
    return "has no CPU that Ray may give away"


def describe(node: Node) -> dict[str, Any]:
    """For a run's record."""
    return {"node": node.name, "cards": [card.name for card in node.cards], "vllm": node.version}
