"""Logs a training run's curves to MLflow, through the project's own tracking.

python -m experiments.pixtral_nano.curves data/pixtral-nano/curves.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pixtrack.configs.errors import UserError
from pixtrack.tasks.tracking.extras import log_curves

EXPERIMENT = "pixtral-nano training"


def read_curves(path: Path) -> Iterator[dict[str, float]]:
    """The rows of curves.jsonl; `training_seconds` in place of the trainer's `seconds`.

    MLflow takes a row's `seconds` for the time of day, which the trainer does not record.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            raise UserError(f"{path}:{number}: not a row of curves: remove the line") from None
        row["training_seconds"] = row.pop("seconds")
        yield row


def log(path: Path, config: dict[str, Any], run_name: str) -> str:
    """Logs the curves as one MLflow run; returns the link to its charts."""
    rows = list(read_curves(path))
    if not rows:
        raise UserError(f"{path}: no rows: train first")
    return log_curves(EXPERIMENT, run_name, config, rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("curves", type=Path, nargs="?", default=Path(__file__).with_name("curves.jsonl"),
                        help="by default those of the shipped checkpoint")  # fmt: skip
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.yaml"))
    parser.add_argument("--name", default="pixtral-nano")
    arguments = parser.parse_args()
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    print(log(arguments.curves, config, arguments.name))


if __name__ == "__main__":
    main()
