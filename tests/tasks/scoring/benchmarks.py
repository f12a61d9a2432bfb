"""Real questions, models' answers and official verdicts, where this machine has them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

_REPOSITORY = Path(__file__).resolve().parents[3]
_BESIDE = [parent / "shared" / "benchmarks" for parent in _REPOSITORY.parents]
FOLDER = Path(
    os.environ.get("PIXTRACK_TEST_BENCHMARKS")
    or next((folder for folder in _BESIDE if folder.is_dir()), _BESIDE[0])
)

needs_benchmarks = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"needs the benchmarks in {FOLDER} (PIXTRACK_TEST_BENCHMARKS)"
)


def document(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def lines(name: str) -> list[dict[str, Any]]:
    with (FOLDER / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
