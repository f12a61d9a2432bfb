"""`python -m bench.chaos [--faults N] [--seed S]`: see the package."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.chaos.faults import FAULTS, OTHER_SECONDS
from bench.chaos.scene import ANSWER, QUESTIONS, Scene
from pixtrack.configs.checkout import version_line

LATEST_SECONDS = 14.0
"""Faults come at a random moment up to so long after the command's start."""
LONGEST_SECONDS = 240.0
"""A command that goes on for so long without a fault is not waited for; it counts as hung soon."""
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
        setting = rng.choice(fault.where)
        before = scene.answers()
        started = time.monotonic()
        process = scene.start(setting)
        wanted = rng.random() < 0.5  # half of the faults wait until questions are asked
        hit = ""
        while process.poll() is None and not hit and time.monotonic() - started < LONGEST_SECONDS:
            time.sleep(0.1)
            early = time.monotonic() - started < delay
            if not early and (not wanted or len(scene.answers()) > len(before)):
                hit = fault.inject(scene, rng)  # "": what it hits is not there yet
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
            f"{counts['injected'] + counts['missed']:4d}  {setting:5s}  "
            f"{hit or f'(missed) {kind}':48s} "
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
    for setting in ("team", "alone"):
        last = scene.start(setting)
        finished = scene.ends(last, OTHER_SECONDS) and last.returncode == 0
        counts["unfinished"] += not (finished and len(scene.answers()) == QUESTIONS)
    counts["left over"] += scene.still_running()
    return counts


def main() -> int:
    """The program; 0 where nothing was lost, doubled, left over or hung."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--at-once", type=int, default=1, help="scenes beside each other")
    parser.add_argument("--only", help="one kind of fault", choices=sorted(FAULTS))
    given = parser.parse_args()
    print(
        f"chaos: {given.faults} faults, seed {given.seed}, {given.at_once} at once, on "
        f"{version_line()}, Python {platform.python_version()}, {os.cpu_count()} cores with a load "
        f"of {os.getloadavg()[0]:.0f} as it begins",
        flush=True,
    )
    counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="pixtrack-chaos-")))
        scenes = [
            held.enter_context(Scene(folder / str(number))) for number in range(given.at_once)
        ]
        if not scenes[0].own_disk:
            print("chaos: no disk of its own can be mounted here: full disks are left out")
        with ThreadPoolExecutor(len(scenes)) as pool:
            shares = [len(range(n, given.faults, given.at_once)) for n in range(given.at_once)]
            seeds = [given.seed + number for number in range(given.at_once)]
            for part in pool.map(campaign, scenes, shares, seeds, [given.only] * len(scenes)):
                counts.update(part)
        logs = [(scene.folder / "command.log").read_text(errors="replace") for scene in scenes]
    log = "".join(logs)
    tracebacks = log.count(TRACEBACK)
    if tracebacks:
        print(log[log.index(TRACEBACK) :][:4000])
    print(", ".join(f"{name} {counts[name]}" for name in COUNTED) + f", tracebacks {tracebacks}")
    return 1 if tracebacks or any(counts[name] for name in BAD) else 0


if __name__ == "__main__":
    sys.exit(main())
