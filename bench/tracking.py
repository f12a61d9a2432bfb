"""What logging a run costs: `python -m bench.tracking [--questions 300 5349]`.

Logs synthetic runs (as many images as DocVQA has a question) into a fresh SQLite store and into a
real `mlflow server` on that kind of store, and prints seconds a step. Targets: 300 questions in
under 3 s, 5,349 in under 30 s, in either store; a run that is logged already in under 0.2 s.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pixtrack.configs.paths import home
from pixtrack.tasks import tracking
from pixtrack.tasks.runs.directory import RunDirectory
from pixtrack.tasks.servers.launcher import free_port
from pixtrack.tasks.tracking.server import serve
from tests.doubles.finished_runs import finished_run
from tests.doubles.synthetic_runs import DatasetFactory

IMAGES_PER_QUESTION = 1286 / 5349
"""DocVQA's validation split."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, nargs="+", default=[300, 5349])
    parser.add_argument("--stores", nargs="+", default=["sqlite", "server"])
    options = parser.parse_args()
    print(f"{'store':8} {'questions':>9} {'step':22} {'seconds':>8}")
    for store in options.stores:
        with tempfile.TemporaryDirectory(prefix="pixtrack-bench-") as folder:
            os.environ["PIXTRACK_HOME"] = folder
            with STORES[store](Path(folder)) as uri:
                os.environ["MLFLOW_TRACKING_URI"] = uri
                seconds("preload", store, 0, lambda: tracking.preload().join())
                for questions in options.questions:
                    measure(store, questions)


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/mlflow.db"


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    port = free_port(0)
    with serve(f"sqlite:///{folder}/server/mlflow.db", port, folder / "server.log"):
        yield f"http://127.0.0.1:{port}"


STORES = {"sqlite": sqlite, "server": server}


def measure(store: str, questions: int) -> None:
    dataset = DatasetFactory(
        home(),
        name=f"bench_{questions}",
        questions=questions,
        images=max(2, int(questions * IMAGES_PER_QUESTION)),
    )
    run: RunDirectory = finished_run(dataset, "alpha", skill=0.3)
    seconds("check_store", store, questions, tracking.check_store)
    seconds("begin", store, questions, lambda: tracking.begin(run))
    seconds("log_run", store, questions, lambda: tracking.log_run(run, home().images))
    seconds(
        "log_run, logged before", store, questions, lambda: tracking.log_run(run, home().images)
    )
    seconds("sync, logged before", store, questions, lambda: tracking.sync([run], home().images))


def seconds(step: str, store: str, questions: int, work: Callable[[], Any]) -> None:
    started = time.perf_counter()
    work()
    spent = time.perf_counter() - started
    print(f"{store:8} {questions or '':>9} {step:22} {spent:8.2f}", flush=True)


if __name__ == "__main__":
    main()
