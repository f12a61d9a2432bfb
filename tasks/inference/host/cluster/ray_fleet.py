"""Replicas as Ray actors: one placement group and one actor each, none of them detached.

Ray ends the actors of a driver that has died; each actor's child ends with it (its guard).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixtrack.tasks.inference.host.cluster import connection
from pixtrack.tasks.inference.host.cluster.fleet import Heard, Place
from pixtrack.tasks.inference.host.cluster.replica import Replica, ReplicaPlan
from pixtrack.tasks.runs.protocol import Event, Order

logger = logging.getLogger(__name__)

NEWS_SECONDS = 2.0
"""For which an actor holds a question for news, where there are none."""
SILENT_SECONDS = 45.0
"""After which an actor that does not answer counts as lost, whatever Ray says."""
END_SECONDS = 20.0
"""For an engine to close; its guard kills it after 10 s."""


@dataclass(frozen=True)
class Placement:
    """What each replica needs of its node, and which cluster that is."""

    address: str = ""
    """As `connect` takes it."""
    gpus: int = 0
    """Cards of one replica."""
    cpus: float = 1.0
    own_cpus: int = 1
    """Of a Ray of our own."""
    own_gpus: int = 0
    nodes: tuple[str, ...] = ()
    """Ids of the nodes that may be used; (): all."""


class RayFleet:
    """Places and starts replicas on a Ray cluster."""

    def __init__(self, placement: Placement, plans: Sequence[ReplicaPlan]) -> None:
        self._placement = placement
        self._plans = plans
        self._handles: list[RayHandle] = []
        self._open = False

    def open(self) -> None:
        """Connects to the cluster, or starts one. Raises UserError as `connect` does."""
        where = self._placement
        connection.connect(where.address, where.own_gpus, where.own_cpus)
        self._open = True

    def launch(self, number: int, hear: Callable[[Heard], None]) -> RayHandle:
        """Asks for a place and starts the replica there, as soon as there is one."""
        self._handles = [handle for handle in self._handles if not handle.ended]
        handle = RayHandle(self._plans[number], self._placement, hear)
        self._handles.append(handle)
        return handle

    def close(self) -> None:
        """Ends all replicas, removes their placement groups, and disconnects."""
        if not self._open:
            return
        self._open = False
        try:
            ending = [threading.Thread(target=handle.end_now) for handle in self._handles]
            for thread in ending:
                thread.start()
            for thread in ending:
                thread.join()
        finally:
            connection.disconnect()


class RayHandle:
    """One start of a replica."""

    def __init__(
        self, plan: ReplicaPlan, placement: Placement, hear: Callable[[Heard], None]
    ) -> None:
        self._plan = plan
        self._placement = placement
        self._hear = hear
        self._lock = threading.Lock()
        self.ended = False
        self._group: Any = None
        self._actor: Any = None
        self._sent: list[Any] = []
        """Calls whose outcome has not been looked at."""
        threading.Thread(target=self._follow, daemon=True, name=f"replica {plan.number}").start()

    def tell(self, orders: Sequence[Order]) -> None:
        """Sends orders; what fails is heard as `lost`."""
        texts = [order.model_dump_json(exclude_defaults=True) for order in orders]
        self._send("tell", texts)

    def put_images(self, images: Mapping[str, bytes]) -> None:
        """Sends image files."""
        self._send("put_images", dict(images))

    def end(self) -> None:
        """Ends it beside the caller's work."""
        threading.Thread(target=self.end_now, daemon=True).start()

    def end_now(self) -> None:
        """Lets the engine close, for a while, then takes actor and place away."""
        with self._lock:
            if self.ended:
                return
            self.ended = True
            actor, group = self._actor, self._group
        ray = connection.ray_module()
        try:
            if actor is not None:
                with contextlib.suppress(Exception):
                    ray.get(actor.close.remote(), timeout=END_SECONDS)
                with contextlib.suppress(Exception):
                    ray.kill(actor)
        finally:
            if group is not None:
                with contextlib.suppress(Exception):
                    ray.util.remove_placement_group(group)

    def _send(self, method: str, *arguments: Any) -> None:
        try:
            with self._lock:
                if self._actor is None or self.ended:
                    return
                self._sent.append(getattr(self._actor, method).remote(*arguments))
        except Exception as error:
            self._hear(Heard(lost=_why(error)))

    def _follow(self) -> None:
        """The thread that waits for a place, starts the engine, and fetches its news."""
        try:
            self._place()
            ray = connection.ray_module()
            if self._actor is None:
                return
            found = ray.get(self._actor.where.remote())
            cards = self._plan.cards or tuple(found["cards"])
            self._hear(Heard(place=Place(found["node"], cards, found["log"], found["address"])))
            ray.get(self._actor.start.remote(cards), timeout=SILENT_SECONDS)
            self._fetch(ray)
        except Exception as error:
            if not self.ended:
                logger.debug("replica %d", self._plan.number, exc_info=True)
                self._hear(Heard(lost=_why(error)))

    def _place(self) -> None:
        ray = connection.ray_module()
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        where = self._placement
        bundle = {"CPU": where.cpus, **({"GPU": where.gpus} if where.gpus else {})}
        group = ray.util.placement_group([bundle], strategy="STRICT_PACK")
        strategy = PlacementGroupSchedulingStrategy(
            placement_group=group, placement_group_capture_child_tasks=False
        )
        actor_class = ray.remote(_NodeReplica)
        with self._lock:
            self._group = group
            if self.ended:
                ray.util.remove_placement_group(group)
                return
            self._actor = actor_class.options(
                num_cpus=where.cpus,
                num_gpus=where.gpus,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=8,
                scheduling_strategy=strategy,
            ).remote(self._plan)

    def _fetch(self, ray: Any) -> None:
        have = 0
        while not self.ended:
            first, news = ray.get(
                self._actor.news.remote(have, NEWS_SECONDS), timeout=SILENT_SECONDS
            )
            new = news[have - first :]
            have = first + len(news)
            if new:
                self._hear(Heard(events=[Event.model_validate_json(text) for text in new]))
            with self._lock:
                done, self._sent = (
                    ray.wait(self._sent, num_returns=len(self._sent), timeout=0)
                    if self._sent
                    else ([], [])
                )
            ray.get(done)


class _NodeReplica(Replica):
    """The actor: a replica that knows what Ray gave it."""

    def __init__(self, plan: ReplicaPlan) -> None:
        import ray

        _undo_rays_settings()
        os.environ.setdefault("PIXTRACK_HOME", plan.home)
        if plan.joins_ray:
            os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
        super().__init__(plan)

    def where(self) -> dict[str, Any]:
        """The machine, the engine's log, and the cards that Ray chose."""
        import ray

        context = ray.get_runtime_context()
        cards = [str(card) for card in context.get_accelerator_ids().get("GPU", ())]
        return {**super().where(), "cards": cards, "address": ray.util.get_node_ip_address()}


def _undo_rays_settings() -> None:
    """Takes back Ray's limit on the threads of numeric libraries: an engine decides itself."""
    with contextlib.suppress(OSError):
        raylet = Path(f"/proc/{os.getppid()}/environ").read_bytes()
        if b"OMP_NUM_THREADS=" not in raylet:
            os.environ.pop("OMP_NUM_THREADS", None)


def _why(error: Exception) -> str:
    """Ray's account of a death in one line."""
    text = " ".join(str(error).split())
    if type(error).__name__ == "GetTimeoutError":
        return f"its node has not answered for {SILENT_SECONDS:.0f} s"
    lowered = text.lower()
    if "node" in lowered and ("died" in lowered or "dead" in lowered or "terminated" in lowered):
        return f"its node is gone ({type(error).__name__})"
    if "out of memory" in lowered or "oom" in lowered.split():
        return "its node ran out of memory, and Ray ended it"
    return f"its actor is gone ({type(error).__name__}: {text[:160]})"


__all__ = ["Placement", "RayFleet"]
