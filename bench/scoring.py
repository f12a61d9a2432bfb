"""How long scoring takes: all seven datasets' questions by all their metrics, on one core.

    python bench/scoring.py [--annotations DIR] [--json]

Predictions are made from the golds: a quarter right, a quarter with a period, a quarter as a
sentence, a quarter another question's gold. Reading the annotations is timed apart. Without the
annotation files (--annotations, PIXTRACK_TEST_ANNOTATIONS, ../shared/annotations) it stops.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pixtrack.configs.loading import load_dataset
from pixtrack.tasks.datasets.annotation_rows import annotation_samples
from pixtrack.tasks.records import Answer, Sample
from pixtrack.tasks.scoring.scored import score_outputs

DATASETS = (
    "chartqapro_test",
    "chartqa_test_human",
    "chartqa_test_augmented",
    "docvqa_val",
    "infographicvqa_val",
    "textvqa_val",
    "vqav2_restval",
)
TARGET_SECONDS = 8.0


def prediction(samples: list[Sample], index: int) -> str:
    golds = samples[index].answers
    gold = max(dict.fromkeys(golds), key=golds.count)
    other = samples[(index * 7919 + 13) % len(samples)].answers[0]
    return (gold, f"{gold.capitalize()}.", f"The answer is {gold}", other)[index % 4]


def measure(folder: Path) -> dict[str, object]:
    result: dict[str, object] = {}
    reading = scoring = 0.0
    predictions = 0
    for name in DATASETS:
        config = load_dataset(name)
        start = time.perf_counter()
        samples = annotation_samples(folder / f"{name}.jsonl", config)
        reading += time.perf_counter() - start
        answers = {i: Answer(i, prediction(samples, i), "stop") for i in range(len(samples))}
        start = time.perf_counter()
        scored = score_outputs(samples, answers, config)
        seconds = time.perf_counter() - start
        scoring += seconds
        predictions += len(samples)
        result[name] = {
            "predictions": len(samples),
            "metrics": list(scored.metrics),
            "seconds": round(seconds, 3),
        }
    return {
        "datasets": result,
        "predictions": predictions,
        "reading_seconds": round(reading, 3),
        "scoring_seconds": round(scoring, 3),
        "target_seconds": TARGET_SECONDS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    root = Path(__file__).resolve().parent.parent
    default = os.environ.get("PIXTRACK_TEST_ANNOTATIONS") or root.parent / "shared" / "annotations"
    parser.add_argument("--annotations", type=Path, default=Path(default))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.annotations / "docvqa_val.jsonl").is_file():
        sys.exit(f"{arguments.annotations}: no annotation files; name their folder: --annotations")
    measured = measure(arguments.annotations)
    if arguments.json:
        print(json.dumps(measured, indent=2))
        return
    for name, facts in measured["datasets"].items():  # type: ignore[attr-defined]
        print(f"{name:24} {facts['predictions']:6} {facts['seconds']:7.2f} s  {facts['metrics']}")
    print(
        f"{measured['predictions']} predictions scored in {measured['scoring_seconds']} s "
        f"(target {TARGET_SECONDS:g} s), annotations read in {measured['reading_seconds']} s"
    )


if __name__ == "__main__":
    main()
