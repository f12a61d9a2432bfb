"""What the driver of many replicas costs: threads answer in their place, the driver is the real one.

    python -m bench.cluster_driver --replicas 8 64 128 --rate 30
    python -m bench.cluster_driver --ray        # what a call of an actor costs, with a real Ray

The replicas' own work is left out of the account: processor time is that of the driver's thread,
and of turning the replicas' news into events.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.host.cluster.driver import EngineCluster
from pixtrack.tasks.inference.host.cluster.fleet import Heard
from pixtrack.tasks.records import ImageRef, Request, to_json
from pixtrack.tasks.runs.protocol import EngineSpec, Event, Job
from tests.doubles.fleet import Behaviour, FakeFleet, FakeReplica

ANSWER = "The total of the invoice is 1,234.50 EUR."
QUESTION = "What is the total of the invoice, with tax? Answer in a few words. (number {})"


class Account:
    """Processor seconds, by what they were for."""

    def __init__(self) -> None:
        self.parsing = 0.0
        self.driver = 0.0
        self._lock = threading.Lock()

    def note_parsing(self, seconds: float) -> None:
        """Adds time that a thread took for news."""
        with self._lock:
            self.parsing += seconds


class CountedReplica(FakeReplica):
    """Notes what its news cost the process of the driver."""

    account = Account()

    def _send(self) -> None:
        news, self._news = self._news, []
        if news:
            started = time.thread_time()
            events = [Event.model_validate_json(text) for text in news]
            self.account.note_parsing(time.thread_time() - started)
            self.hear(Heard(events=events))


class CountedFleet(FakeFleet):
    """Replicas that are counted."""

    def launch(self, number: int, hear: Callable[[Heard], None]) -> FakeReplica:
        replica = CountedReplica(number, self.behaviours[number][0], hear)
        self.started.append(replica)
        return replica


class CountedDriver(EngineCluster):
    """Notes what its thread takes."""

    def _run(self) -> None:
        started = time.thread_time()
        super()._run()
        CountedReplica.account.driver = time.thread_time() - started


def requests(questions: int, each: int) -> list[Request]:
    """So many questions, `each` on an image."""
    refs = [
        ImageRef(f"{n:064x}", f"/data/images/{n:064x}.png", 1700, 2200)
        for n in range(questions // each)
    ]
    return [
        Request(n * each + k, (ref,), (QUESTION.format(k),))
        for n, ref in enumerate(refs)
        for k in range(each)
    ]


def measure(replicas: int, rate: float, seconds: float, each: int) -> dict[str, float]:
    """One run of so many replicas; figures a second and a question."""
    asked = requests(int(replicas * rate * seconds), each)
    account = CountedReplica.account = Account()
    does = Behaviour(rate=rate, groups=16, batch_seconds=0.1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        lines = "".join(json.dumps(to_json(request)) + "\n" for request in asked)
        (path / "requests.jsonl").write_text(lines, encoding="utf-8")
        job = Job(
            job_id="bench",
            requests_path=str(path / "requests.jsonl"),
            journal_path=str(path / "answers.jsonl"),
            fingerprint="bench",
            sampling=Sampling(max_tokens=32),
        )
        spec = EngineSpec(engine="vllm", format="mistral", family="pixtral", takes="orders")
        fleet = CountedFleet(*([does] for _ in range(replicas)))
        driver = CountedDriver(spec, fleet, replicas)
        with driver:
            driver.submit(job)
            done = next(e for e in driver.events() if e.event in ("job_done", "engine_failed"))
        size = (path / "answers.jsonl").stat().st_size
    assert done.done == len(asked), done
    taken = account.driver + account.parsing
    return {
        "replicas": replicas,
        "wanted q/s": replicas * rate,
        "got q/s": len(asked) / done.elapsed_seconds,
        "driver µs/q": 1e6 * account.driver / len(asked),
        "news µs/q": 1e6 * account.parsing / len(asked),
        "of a core %": 100 * taken / done.elapsed_seconds,
        "limit q/s": len(asked) / taken,
        "journal kB/s": size / done.elapsed_seconds / 1e3,
    }


def measure_ray() -> dict[str, float]:
    """What a call for news costs the driver's process, and how fast images go to a node."""
    from pixtrack.tasks.inference.host.cluster import connection

    ray = connection.ray_module()
    connection.connect("", cpus=1)
    try:

        class Echo:
            """Answers a call."""

            def news(self, lines: list[str]) -> list[str]:
                """What was given."""
                return lines

            def take(self, images: dict[str, bytes]) -> int:
                """How many bytes came."""
                return sum(len(data) for data in images.values())

        actor = ray.remote(Echo).options(num_cpus=0, max_concurrency=4).remote()
        lines = ["x" * 300] * 6
        ray.get(actor.news.remote(lines))
        calls, started, cpu = 1000, time.perf_counter(), time.process_time()
        for _ in range(calls // 4):
            ray.get([actor.news.remote(lines) for _ in range(4)])
        wall, used = time.perf_counter() - started, time.process_time() - cpu
        image = {"image": b"x" * 1_000_000}
        began, rounds = time.perf_counter(), 100
        for _ in range(rounds):
            ray.get(actor.take.remote(image))
        sent = time.perf_counter() - began
    finally:
        connection.disconnect()
    return {
        "call µs of the driver": 1e6 * used / calls,
        "calls/s": calls / wall,
        "images MB/s": rounds / sent,
    }


def main() -> None:
    """Prints one line a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 8, 32, 64, 128])
    parser.add_argument("--rate", type=float, default=30.0, help="answers a second of each")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--each", type=int, default=5, help="questions on an image")
    parser.add_argument("--ray", action="store_true")
    chosen = parser.parse_args()
    if chosen.ray:
        print(json.dumps({key: round(value, 1) for key, value in measure_ray().items()}))
        return
    for number in chosen.replicas:
        row = measure(number, chosen.rate, chosen.seconds, chosen.each)
        print("  ".join(f"{key} {value:.0f}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
