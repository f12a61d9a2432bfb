"""What a folder `shared` beside the checkout holds for tests; nothing of it is ever committed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

_BESIDE = [parent / "shared" for parent in Path(__file__).resolve().parents[1].parents]
SHARED = Path(
    os.environ.get("PIXTRACK_TEST_SHARED")
    or next((folder for folder in _BESIDE if folder.is_dir()), _BESIDE[0])
)
ANNOTATIONS = Path(os.environ.get("PIXTRACK_TEST_ANNOTATIONS") or SHARED / "annotations")
"""The real annotation files, NAME.jsonl for each dataset."""
BENCHMARKS = Path(os.environ.get("PIXTRACK_TEST_BENCHMARKS") or SHARED / "benchmarks")
"""Real questions, models' answers and official verdicts, as their authors published them."""


def needs_shared(name: str) -> pytest.MarkDecorator:
    """Skips a test where the folder of that name is not there."""
    return _needs(SHARED / name, "PIXTRACK_TEST_SHARED")


def _needs(folder: Path, variable: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not folder.is_dir(), reason=f"needs the folder {folder} ({variable})")


needs_annotations = _needs(ANNOTATIONS, "PIXTRACK_TEST_ANNOTATIONS")
needs_benchmarks = _needs(BENCHMARKS, "PIXTRACK_TEST_BENCHMARKS")


def document(name: str) -> Any:
    """What a JSON file of the benchmarks holds."""
    return json.loads((BENCHMARKS / name).read_text(encoding="utf-8"))


def lines(name: str) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file of the benchmarks."""
    with (BENCHMARKS / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
