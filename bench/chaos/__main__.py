"""`python -m bench.chaos [--faults N] [--seed S]`: see the package."""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.chaos.faults import FAULTS, OTHER_SECONDS
from bench.chaos.scene import ANSWER, QUESTIONS, Scene
from pixtrack.configs.checkout import version_line

LATEST_SECONDS = 14.0
"""Faults come at a random moment up to so long after the command's start."""
TRACEBACK = "Traceback (most recent call last)"
BAD = ("lost", "doubled", "wrong", "left over", "hung", "unfinished")
COUNTED = ("injected", "missed", *BAD)


def campaign(scene: Scene, faults: int, seed: int, only: str | None = None) -> Counter[str]:
    """That many faults, each kind in turn; what they came to.

    A fault that finds nothing to hit at its moment is missed, and another one takes its place.
    """
    rng = random.Random(seed)
    counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    kinds: list[str] = []
    while counts["injected"] < faults and counts["missed"] < 2 * faults:
        kinds = kinds or ([only] if only else rng.sample(sorted(FAULTS), len(FAULTS)))
        kind, delay = kinds.pop(), rng.uniform(0.3, LATEST_SECONDS)
        fault = FAULTS[kind]
        before = scene.answers()
        started = time.monotonic()
        process = scene.start(fault.at_mlflow_server)
        wanted = rng.random() < 0.5  # half of the faults wait until questions are asked
        while process.poll() is None and (
            time.monotonic() - started < delay or (wanted and len(scene.answers()) <= len(before))
        ):
            time.sleep(0.05)
        hit = fault.inject(scene, rng) if process.poll() is None else ""
        counts["injected" if hit else "missed"] += 1
        injected = time.monotonic()
        hung = not scene.ends(process, fault.ends_within_seconds if hit else OTHER_SECONDS)
        took = time.monotonic() - injected
        left = scene.left_over()
        after = scene.answers()
        lost = sum(1 for answer in before if answer not in after)
        per_index = Counter(index for index, _ in after.elements())
        doubled = sum(count - 1 for count in per_index.values())
        wrong = sum(1 for _, text in after if text != ANSWER)
        counts.update(
            {"lost": lost, "doubled": doubled, "wrong": wrong, "left over": len(left), "hung": hung}
        )
        print(
            f"{counts['injected'] + counts['missed']:4d}  {hit or f'(missed) {kind}':40s} "
            f"after {injected - started:4.1f} s, "
            f"ended {took:4.1f} s later, rc {process.returncode:3d}, {len(per_index):3d} answered"
            + "".join(f"  LEFT OVER {name}" for name in left)
            + ("  HUNG" if hung else "")
            + (f"  LOST {lost}" if lost else "")
            + (f"  DOUBLED {doubled}" if doubled else "")
            + (f"  WRONG {wrong}" if wrong else ""),
            flush=True,
        )
        if len(per_index) >= QUESTIONS:
            shutil.rmtree(scene.home / "runs", ignore_errors=True)  # the next run begins anew
    for at_mlflow_server in (False, True):
        last = scene.start(at_mlflow_server)
        finished = scene.ends(last, OTHER_SECONDS) and last.returncode == 0
        counts["unfinished"] += not (finished and len(scene.answers()) == QUESTIONS)
    counts["left over"] += scene.still_running()
    return counts


def main() -> int:
    """The program; 0 where nothing was lost, doubled, left over or hung."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", help="one kind of fault", choices=sorted(FAULTS))
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="pixtrack-chaos-") as folder,
        Scene(Path(folder)) as scene,
    ):
        print(
            f"chaos: {given.faults} faults, seed {given.seed}, on {version_line()}, Python "
            f"{platform.python_version()}, {os.cpu_count()} cores with a load of "
            f"{os.getloadavg()[0]:.0f} as it begins",
            flush=True,
        )
        if not scene.own_disk:
            print("chaos: no disk of its own can be mounted here: full disks are left out")
        counts = campaign(scene, given.faults, given.seed, given.only)
        log = (scene.folder / "command.log").read_text(errors="replace")
    tracebacks = log.count(TRACEBACK)
    if tracebacks:
        print(log[log.index(TRACEBACK) :][:4000])
    print(", ".join(f"{name} {counts[name]}" for name in COUNTED) + f", tracebacks {tracebacks}")
    return 1 if tracebacks or any(counts[name] for name in BAD) else 0


if __name__ == "__main__":
    sys.exit(main())
