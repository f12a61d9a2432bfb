"""`python -m bench.chaos [--faults N] [--seed S]`: see the package."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.chaos.faults import FAULTS
from bench.chaos.scene import QUESTIONS, Scene

LATEST_SECONDS = 14.0
"""Faults come at a random moment up to so long after the command's start."""
TRACEBACK = "Traceback (most recent call last)"
COUNTED = ("injected", "missed", "lost", "doubled", "left over", "hung", "unfinished")


def campaign(scene: Scene, faults: int, seed: int, only: str | None = None) -> Counter[str]:
    """That many faults, each kind in turn; what they came to."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    kinds: list[str] = []
    while counts["injected"] + counts["missed"] < faults:
        kinds = kinds or ([only] if only else rng.sample(sorted(FAULTS), len(FAULTS)))
        kind, delay = kinds.pop(), rng.uniform(0.3, LATEST_SECONDS)
        before = scene.answers()
        started = time.monotonic()
        process = scene.start()
        wanted = rng.random() < 0.5  # half of the faults wait until questions are asked
        while process.poll() is None and (
            time.monotonic() - started < delay or (wanted and len(scene.answers()) <= len(before))
        ):
            time.sleep(0.05)
        hit = FAULTS[kind](scene, rng) if process.poll() is None else ""
        counts["injected" if hit else "missed"] += 1
        hung = not scene.ends(process)
        left = scene.left_over()
        after = scene.answers()
        lost = sum(1 for answer in before if answer not in after)
        per_index = Counter(index for index, _ in after.elements())
        doubled = sum(count - 1 for count in per_index.values())
        counts.update({"lost": lost, "doubled": doubled, "left over": len(left), "hung": int(hung)})
        print(
            f"{counts['injected'] + counts['missed']:4d}  {hit or f'(missed) {kind}':40s} "
            f"after {delay:4.1f} s  rc {process.returncode}  {len(per_index):4d} answered"
            + "".join(f"  LEFT OVER {name}" for name in left)
            + ("  HUNG" if hung else "")
            + (f"  LOST {lost}" if lost else "")
            + (f"  DOUBLED {doubled}" if doubled else ""),
            flush=True,
        )
        if len(per_index) >= QUESTIONS:
            shutil.rmtree(scene.home / "runs", ignore_errors=True)  # the next run begins anew
    last = scene.start()
    finished = scene.ends(last) and last.returncode == 0
    counts["unfinished"] += not (finished and len(scene.answers()) == QUESTIONS)
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
        if not scene.own_disk:
            print("chaos: no disk of its own can be mounted here: full disks are left out")
        counts = campaign(scene, given.faults, given.seed, given.only)
        log = (scene.folder / "command.log").read_text(errors="replace")
    tracebacks = log.count(TRACEBACK)
    if tracebacks:
        print(log[log.index(TRACEBACK) :][:4000])
    print(", ".join(f"{name} {counts[name]}" for name in COUNTED) + f", tracebacks {tracebacks}")
    bad = [name for name in ("lost", "doubled", "left over", "hung", "unfinished") if counts[name]]
    return 1 if bad or tracebacks else 0


if __name__ == "__main__":
    sys.exit(main())
