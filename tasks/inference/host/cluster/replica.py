"""A replica on its node: starts today's guarded child there, and stands between it and the driver.

The class is a Ray actor's (pixtrack.tasks.inference.host.cluster.ray_fleet), and knows nothing of
Ray: several threads may call it at once.
"""

from __future__ import annotations

import os
import socket
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.inference.host.cluster.node_files import NodeImages, files_on_node
from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Order

LINGER_SECONDS = 0.1
"""News travel together for so long: a call costs the driver more than what it brings."""


@dataclass(frozen=True)
class ReplicaPlan:
    """What a replica is told when it is made."""

    number: int
    spec: EngineSpec
    log: str
    """Where one engine's log would be on the driver's machine."""
    home: str
    """The driver's data home; a node whose environment has no PIXTRACK_HOME uses the same path."""
    host: str
    """The driver's machine."""
    model: ModelConfig | None = None
    """Whose files are needed; None: `spec.model_dir` is taken as it is."""
    digest: str = ""
    """Of the model's files, as the driver has them."""
    cards: tuple[str, ...] = ()
    """The cards to use; (): those that the cluster has given, or no card."""
    joins_ray: bool = False
    """Whether vLLM places its parts on several nodes through Ray."""


class Replica:
    """One engine, its child, and the news that the driver has not fetched yet."""

    def __init__(self, plan: ReplicaPlan) -> None:
        self._plan = plan
        self._here = socket.gethostname()
        root = os.environ.get("PIXTRACK_HOME") or plan.home
        self._home = Home(Path(root).expanduser().resolve())
        self._log = _log_of(Path(plan.log), self._home, plan.number, self._here == plan.host)
        self._process: EngineProcess | None = None
        self._images = NodeImages(self._home)
        self._held: list[Order] = []
        """Orders whose images are on their way."""
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._news: list[str] = []
        self._fetched = 0
        """How many news the driver has, of all that there were."""
        self._ended = False

    def where(self) -> dict[str, str]:
        """The machine's name and where the engine's log is."""
        return {"node": self._here, "log": str(self._log)}

    def start(self, cards: Sequence[str]) -> None:
        """Begins to start the engine on those cards; returns at once."""
        threading.Thread(target=self._run, args=(tuple(cards),), daemon=True).start()

    def news(self, have: int, seconds: float) -> tuple[int, list[str]]:
        """(number of the first, the news) from the `have`th on, as JSON of Events.

        Waits up to `seconds` for some. Whoever asks for news has those before, which are dropped.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._fetched + len(self._news) > have, seconds)
            if self._fetched + len(self._news) > have:
                self._changed.wait(LINGER_SECONDS)
            drop = max(0, have - self._fetched)
            del self._news[:drop]
            self._fetched += drop
            return self._fetched, [*self._news]

    def tell(self, orders: Sequence[str]) -> None:
        """Hands orders to the child, those whose images are not here once these have come."""
        for text in orders:
            order = Order.model_validate_json(text)
            resolved = self._images.resolve(order)
            if not resolved.absent:
                self._order(resolved.order)
                continue
            with self._lock:
                self._held.append(order)
            new = self._images.to_ask_for(resolved.absent)
            if new:
                self._add(Event(event="images_missing", details={"images": new}))
            else:
                self.put_images({})  # they may have come just now

    def put_images(self, images: Mapping[str, bytes]) -> None:
        """Keeps image files that were missing, and goes on with what waited for them."""
        self._images.keep(images)
        with self._lock:
            held, self._held = self._held, []
        for order in held:
            resolved = self._images.resolve(order)
            if resolved.absent:
                with self._lock:
                    self._held.append(order)
            else:
                self._order(resolved.order)

    def close(self) -> None:
        """Ends the child and everything that it started."""
        self._ended = True
        if self._process is not None:
            self._process.close()

    def _run(self, cards: tuple[str, ...]) -> None:
        try:
            spec = self._spec()
            process = EngineProcess(spec, self._log, cards=cards)
            process.start()
            self._process = process
            if self._ended:
                process.close()
                return
            for event in process.events():
                self._add(event)
        except UserError as error:
            details = {"reason": "configuration", "error": "UserError"}
            self._add(Event(event="engine_failed", message=str(error), details=details))
        except Exception as error:
            traceback.print_exc()
            said = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self._add(Event(event="engine_failed", message=said, details={"reason": "unknown"}))

    def _spec(self) -> EngineSpec:
        """The engine's description with the model's files where they are on this node."""
        plan = self._plan
        if plan.model is None or self._here == plan.host:
            return plan.spec

        def told(done: int, total: int) -> None:
            said = f"files of {plan.spec.family} on {self._here}: {done / 1e9:.1f}"
            self._add(Event(event="starting", message=f"{said} of {total / 1e9:.1f} GB"))

        files = files_on_node(
            plan.model, Path(plan.spec.model_dir), self._home, self._here, plan.digest, told
        )
        return plan.spec.model_copy(update={"model_dir": str(files)})

    def _order(self, order: Order) -> None:
        if self._process is not None:
            self._process.order(order)

    def _add(self, event: Event) -> None:
        with self._changed:
            self._news.append(event.model_dump_json(exclude_defaults=True))
            self._changed.notify_all()


def _log_of(log: Path, home: Home, number: int, on_drivers_host: bool) -> Path:
    """The first replica's log has the name that one engine's would have."""
    folder = log.parent if on_drivers_host else home.root / "logs"
    name = log.name if number == 0 else f"{log.stem}-{number + 1}{log.suffix}"
    return folder / name
