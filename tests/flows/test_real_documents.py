"""Real documents from their files to scores: 19 PDFs with 184 questions, and 18 photographs.

The answers of a model of this size are noise; everything around it is not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import yaml

from pixtrack.configs.paths import PACKAGE_ROOT
from tests.shared import SHARED, needs_shared

PIXTRACK = Path(sys.executable).parent / "pixtrack"
DOCUMENTS = SHARED / "benchmarks" / "mmlongbench_doc"
PHOTOGRAPHS = SHARED / "benchmarks" / "photographs"
DPI = 36
"""Low: a page is 306×396 pixels, which the small model takes in whole."""


def run(environment: dict[str, str], *arguments: str, seconds: int = 280) -> Any:
    """What a command prints as JSON."""
    done = subprocess.run(
        [PIXTRACK, *arguments, "--json"], env=environment, capture_output=True, text=True,
        timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture
def environment(tmp_path: Path, prefect_api: str) -> dict[str, str]:
    """Configurations and a data home of one's own."""
    shutil.copytree(PACKAGE_ROOT / "configs", tmp_path / "configs")
    hidden = ("PREFECT_API_URL", "PREFECT_HOME", "MLFLOW_TRACKING_URI")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    own = {"PIXTRACK_HOME": tmp_path / "home", "PIXTRACK_CONFIGS": tmp_path / "configs"}
    return {**kept, "PREFECT_API_URL": prefect_api, **{name: str(own[name]) for name in own}}


@pytest.mark.engine
@pytest.mark.slow
@needs_shared("benchmarks/mmlongbench_doc")
@needs_shared("benchmarks/photographs")
def test_real_documents_and_photographs_are_added_asked_and_scored(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """All 184 questions are asked, each on one page: so many images the small model takes."""
    folder = DOCUMENTS / "documents"
    pages = {path.name: len(pypdfium2.PdfDocument(path)) for path in folder.iterdir()}
    every = json.loads((DOCUMENTS / "samples.json").read_text(encoding="utf-8"))
    rows = [row for row in every if row["doc_id"] in pages]
    (tmp_path / "questions.json").write_text(json.dumps(rows), encoding="utf-8")
    added = run(
        environment, "datasets", "add", "real_documents", "--qa-file", str(tmp_path / "questions.json"),
        "--img-folder", str(folder), "--dpi", str(DPI), "--row-format", "mmlongbench_doc",
        "--metric", "mmlongbench_doc",
    )  # fmt: skip
    assert (added["rows"], added["bad_rows"]) == (184, [])
    assert any(line.startswith("not used: 'doc_type', 'evidence") for line in added["understood"])

    names = sorted(path.name for path in PHOTOGRAPHS.iterdir())
    lines = [json.dumps({"question": "What is written here?", "image": name}) for name in names]
    (tmp_path / "photographs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    added = run(
        environment, "datasets", "add", "real_photographs", "--qa-file",
        str(tmp_path / "photographs.jsonl"), "--img-folder", str(PHOTOGRAPHS),
    )  # fmt: skip
    assert (added["rows"], added["images"], added["bad_rows"]) == (18, 18, [])

    configs = tmp_path / "configs"
    written = configs / "datasets" / "real_documents.yaml"
    settings = {**yaml.safe_load(written.read_text(encoding="utf-8")), "pages": "even"}
    written.write_text(yaml.safe_dump(settings), encoding="utf-8")
    group = {"title": "Real", "datasets": ["real_documents", "real_photographs"]}
    (configs / "groups" / "real.yaml").write_text(yaml.safe_dump(group), encoding="utf-8")
    done = run(environment, "eval", "--dataset", "real", "--model", "pixtral-nano")
    runs = {one["dataset"]: one for one in done["runs"]}
    documents, photographs = runs["real_documents"], runs["real_photographs"]
    assert (documents["n"], documents["answered"], documents["failed"]) == (184, 184, 0)
    assert documents["metrics"]["mmlongbench_doc"]["n"] == 184
    assert (photographs["n"], photographs["answered"], photographs["failed"]) == (18, 18, 0)

    requests = (Path(documents["run_dir"]) / "requests.jsonl").read_text(encoding="utf-8")
    shown = [json.loads(line)["images"] for line in requests.splitlines()]
    assert {len(images) for images in shown} == {1}
    asked_of = Counter(row["doc_id"] for row in rows)
    first = Counter(images[0]["sha256"] for images in shown)
    assert sorted(first.values()) == sorted(asked_of.values())
    card = run(environment, "datasets", "show", "real_documents")["prepared"]
    assert card["samples"] == 184 and card["images"] <= sum(pages.values())
