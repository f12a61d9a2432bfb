"""One engine without Ray, then several replicas through the cluster's driver: questions a second.

    python -m bench.replicas                                          # the small model, this CPU
    python -m bench.replicas --architecture pixtral-12b --weights dummy --cards 0,1     # two GPUs
    python -m bench.replicas --architecture pixtral-12b --weights dummy --cards 1       # one

Both are asked the way that a run asks them: the inference child of `host.process`, and
`host.cluster` with a Ray of its own. Twice the replicas get twice the questions. Every engine first
answers some questions on other pages. What was measured is printed, and kept in replicas.json under
--out, after each stage.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.architectures import ARCHITECTURES, ROOT
from bench.documents import synthetic_requests
from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.host.cluster.driver import EngineCluster
from pixtrack.tasks.inference.host.cluster.ray_fleet import Placement, RayFleet
from pixtrack.tasks.inference.host.cluster.replica import ReplicaPlan
from pixtrack.tasks.inference.host.engine_host import EngineHost
from pixtrack.tasks.inference.host.process import EngineProcess
from pixtrack.tasks.records import Request, to_json
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job

WARM_UP = 6
"""Pages that each replica is asked about before the clock starts."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--architecture", choices=tuple(ARCHITECTURES), default="nano")
    add("--weights", choices=("files", "dummy"), default="files")
    add("--images", type=int, default=24, help="pages for one engine; as many more a replica")
    add("--questions", default="docvqa", help="questions an image, or docvqa: its group sizes")
    add("--size", default="1700x2200", help="of the pages, in pixels")
    add("--pages", type=Path, help="folder for the drawn pages, kept for another run")
    add("--max-tokens", type=int, default=16)
    add("--cards", default=",", help="of each replica: 0,1; without names: no card")
    add("--engine", action="append", default=[], metavar="KEY=VALUE", help="engine option")
    add("--stage-seconds", type=float, default=600.0, help="after which a stage is given up")
    add("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    cards = [(card,) if card else () for card in options.cards.split(",")]
    with tempfile.TemporaryDirectory(prefix="pixtrack-bench-") as scratch:
        folder = Path(scratch)
        os.environ.setdefault("PIXTRACK_HOME", str(folder / "home"))
        width, _, height = options.size.partition("x")
        size = (int(width), int(height))
        pages = options.pages or folder / "pages"
        spec = spec_of(options, folder, pages)
        # Before a stage begins, so that no page is drawn while it runs.
        synthetic_requests(pages, options.images * len(cards), options.questions, size)
        results: dict[str, Any] = {}
        for number in (1, len(cards))[: len(cards)]:
            asked = synthetic_requests(pages, options.images * number, options.questions, size)
            warm_up = synthetic_requests(pages, WARM_UP * number, "2", size, seed=10**6)
            log = options.out / f"engine-{number}.log"
            host = (
                EngineProcess(spec, log, cards=cards[0])
                if number == 1
                else cluster(spec, log, cards)
            )
            name = "one engine" if number == 1 else f"{number} replicas through Ray"
            try:
                results[name] = measure(host, number, warm_up, asked, options, folder / str(number))
            except RuntimeError as error:
                results[name] = {"failed": str(error)}
            say(f"{name}: {json.dumps(results[name])}")
            keep(results, options.out)
    return 0


def spec_of(options: argparse.Namespace, folder: Path, pages: Path) -> EngineSpec:
    architecture = ARCHITECTURES[options.architecture]
    return EngineSpec(
        engine="vllm",
        model_dir=str(architecture.files(folder / "model")),
        format=architecture.format,
        family=architecture.family,
        options={
            "max_model_len": architecture.max_model_len,
            "allowed_local_media_path": str(pages),
            **{key: _value(text) for key, _, text in (e.partition("=") for e in options.engine)},
        },
        weights=options.weights,
    )


def cluster(spec: EngineSpec, log: Path, cards: Sequence[tuple[str, ...]]) -> EngineHost:
    """The driver of these replicas on a Ray of its own, as `-dp` makes it."""
    each = spec.model_copy(update={"takes": "orders"})
    plans = [
        ReplicaPlan(
            number=number,
            spec=each,
            log=str(log),
            home=os.environ["PIXTRACK_HOME"],
            host=socket.gethostname(),
            cards=card,
        )
        for number, card in enumerate(cards)
    ]
    fleet = RayFleet(Placement("", own_cpus=len(cards)), plans)
    return EngineCluster(each, fleet, len(cards))


def measure(
    host: EngineHost,
    number: int,
    warm_up: Sequence[Request],
    asked: Sequence[Request],
    options: argparse.Namespace,
    folder: Path,
) -> dict[str, Any]:
    """Starts the engines, and asks. Raises RuntimeError where they end before all is answered."""
    folder.mkdir()
    sampling = Sampling(max_tokens=options.max_tokens)
    watch = threading.Timer(options.stage_seconds, host.close)
    watch.daemon = True
    watch.start()
    began = time.perf_counter()
    try:
        host.start()
        events = host.events()
        ready = [until(events, "ready") for _ in range(number)][-1]
        started = time.perf_counter() - began
        say(f"{number} ready after {started:.1f} s: {json.dumps(ready.details)}")
        ask(host, events, "warm-up", warm_up, sampling, folder)
        done, seconds = ask(host, events, "asked", asked, sampling, folder)
    finally:
        watch.cancel()
        host.close()
    answered = {json.loads(line).get("index") for line in lines(folder / "asked.jsonl")}
    return {
        "samples": len(asked),
        "images": len({request.images[0].sha256 for request in asked}),
        "recorded": len(answered - {None}),
        "failed": done.failed,
        "seconds": seconds,
        "samples_per_s": len(asked) / seconds,
        "start_seconds": started,
        "cached_share": done.cached_tokens / max(1, done.prompt_tokens),
        "output_tokens": done.output_tokens / len(asked),
        "details": done.details,
        "engine": ready.details,
    }


def ask(
    host: EngineHost,
    events: Iterator[Event],
    name: str,
    asked: Sequence[Request],
    sampling: Sampling,
    folder: Path,
) -> tuple[Event, float]:
    """The last event of a job with these questions, and the seconds from handing it over."""
    path = folder / f"{name}-requests.jsonl"
    path.write_text("".join(json.dumps(to_json(r)) + "\n" for r in asked), encoding="utf-8")
    job = Job(
        job_id=name,
        requests_path=str(path),
        journal_path=str(folder / f"{name}.jsonl"),
        fingerprint=name,
        sampling=sampling,
    )
    started = time.perf_counter()
    host.submit(job)
    done = until(events, "job_done")
    return done, time.perf_counter() - started


def until(events: Iterator[Event], name: str) -> Event:
    for event in events:
        if event.event == name:
            return event
        if event.event in ("engine_failed", "job_failed", "closed"):
            raise RuntimeError(f"{event.event}: {event.message}")
    raise RuntimeError(f"the engine ended before {name}")


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def keep(results: dict[str, Any], out: Path) -> None:
    rates = [result["samples_per_s"] for result in results.values() if "samples_per_s" in result]
    if len(rates) > 1:
        results = {**results, "ratio": rates[-1] / rates[0]}
        say(f"{rates[0]:.2f} and {rates[-1]:.2f} questions/s: {rates[-1] / rates[0]:.3f} ×")
    (out / "replicas.json").write_text(json.dumps(results, indent=1), encoding="utf-8")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
