"""Real documents from their files to scores: PDFs, several of whose pages a prompt shows, and photographs.

The answers of a model of this size are noise; everything around it is not. Five documents stand for
the 19 whose files are there; PIXTRACK_TEST_DOCUMENTS=19 asks all their 184 questions.
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

from pixtrack.configs.loading import load_model
from pixtrack.configs.paths import PACKAGE_ROOT
from pixtrack.tasks.inference.prompts.mistral import MistralPrompts
from pixtrack.tasks.inference.tokens import TokenReport, count_tokens
from pixtrack.tasks.runs.requests import read_requests
from tests.shared import SHARED, needs_shared

PIXTRACK = Path(sys.executable).parent / "pixtrack"
DOCUMENTS = SHARED / "benchmarks" / "mmlongbench_doc"
PHOTOGRAPHS = SHARED / "benchmarks" / "photographs"
DPI = 18
"""As low as may be: a page is 153×198 pixels, 143 tokens, of which the small model takes twelve."""
MOST_PAGES = 12
COUNT = int(os.environ.get("PIXTRACK_TEST_DOCUMENTS", "5"))


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
    model = tmp_path / "configs" / "models" / "pixtral-nano.yaml"
    text = model.read_text(encoding="utf-8")
    model.write_text(text.replace("max_images: 1\n", f"max_images: {MOST_PAGES}\n"))
    hidden = ("PREFECT_API_URL", "PREFECT_HOME", "MLFLOW_TRACKING_URI")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    own = {"PIXTRACK_HOME": tmp_path / "home", "PIXTRACK_CONFIGS": tmp_path / "configs"}
    return {**kept, "PREFECT_API_URL": prefect_api, **{name: str(own[name]) for name in own}}


def planned(run_dir: Path) -> TokenReport:
    """What `pixtrack tokens` counts for the run's requests, in blocks of the run's own engine."""
    engine = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["engine"]
    config = json.loads((run_dir / "config.json").read_text(encoding="utf-8"))
    report = count_tokens(
        read_requests(run_dir / "requests.jsonl"),
        MistralPrompts(PACKAGE_ROOT / "configs" / "models" / "pixtral-nano", MOST_PAGES),
        config["sampling"]["max_tokens"],
        engine["max_model_len"],
        engine["block_size"],
    )
    assert report is not None
    return report


@pytest.mark.engine
@pytest.mark.slow
@needs_shared("benchmarks/mmlongbench_doc")
@needs_shared("benchmarks/photographs")
def test_real_documents_and_photographs_are_added_asked_and_scored(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Each question shows as many pages of its document as fit, which are computed once."""
    folder = DOCUMENTS / "documents"
    every = json.loads((DOCUMENTS / "samples.json").read_text(encoding="utf-8"))
    here = sorted(folder.iterdir(), key=lambda path: (path.stat().st_size, path.name))[:COUNT]
    pages = {path.name: len(pypdfium2.PdfDocument(path)) for path in here}
    rows = [row for row in every if row["doc_id"] in pages]
    (tmp_path / "questions.json").write_text(json.dumps(rows), encoding="utf-8")
    added = run(
        environment, "datasets", "add", "real_documents", "--qa-file", str(tmp_path / "questions.json"),
        "--img-folder", str(folder), "--dpi", str(DPI), "--row-format", "mmlongbench_doc",
        "--metric", "mmlongbench_doc",
    )  # fmt: skip
    assert (added["rows"], added["bad_rows"]) == (len(rows), [])
    assert any(line.startswith("not used: 'doc_type', 'evidence") for line in added["understood"])

    names = sorted(path.name for path in PHOTOGRAPHS.iterdir())
    lines = [json.dumps({"question": "What is written here?", "image": name}) for name in names]
    (tmp_path / "photographs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    added = run(
        environment, "datasets", "add", "real_photographs", "--qa-file",
        str(tmp_path / "photographs.jsonl"), "--img-folder", str(PHOTOGRAPHS),
    )  # fmt: skip
    assert (added["rows"], added["images"], added["bad_rows"]) == (len(names), len(names), [])

    configs = tmp_path / "configs"
    written = configs / "datasets" / "real_documents.yaml"
    settings = {**yaml.safe_load(written.read_text(encoding="utf-8")), "pages": "even"}
    written.write_text(yaml.safe_dump(settings), encoding="utf-8")
    group = {"title": "Real", "datasets": ["real_documents", "real_photographs"]}
    (configs / "groups" / "real.yaml").write_text(yaml.safe_dump(group), encoding="utf-8")
    done = run(environment, "eval", "--dataset", "real", "--model", "pixtral-nano")
    runs = {one["dataset"]: one for one in done["runs"]}
    documents, photographs = runs["real_documents"], runs["real_photographs"]
    assert (documents["n"], documents["answered"], documents["failed"]) == (len(rows), len(rows), 0)
    assert documents["metrics"]["mmlongbench_doc"]["n"] == len(rows)
    assert (photographs["answered"], photographs["failed"]) == (len(names), 0)

    run_dir = Path(documents["run_dir"])
    asked_of = [row["doc_id"] for row in rows]
    requests = read_requests(run_dir / "requests.jsonl")
    assert [len(request.images) for request in requests] == [
        min(MOST_PAGES, pages[name]) for name in asked_of
    ]
    groups = Counter(tuple(image.sha256 for image in request.images) for request in requests)
    assert sorted(groups.values()) == sorted(Counter(asked_of).values())
    report = planned(run_dir)
    assert report.refused == 0 and report.image_groups == len(pages)
    answers = [
        json.loads(line) for line in (run_dir / "answers.jsonl").read_text().splitlines()[1:]
    ]
    assert sum(answer["prompt_tokens"] for answer in answers) == report.total_prompt_tokens
    # The plan counts the blocks that pages share; questions that begin alike may share one more.
    cached = sum(answer["cached_tokens"] for answer in answers)
    assert report.cached_tokens <= cached <= 1.01 * report.cached_tokens
    assert documents["cached_share"] == pytest.approx(report.cached_share, rel=0.01)
    left_out = [answer["left_out"] for answer in sorted(answers, key=lambda one: one["index"])]
    shown = load_model("pixtral-nano").engine["max_model_len"] - report.max_tokens
    for name, missing in zip(asked_of, left_out, strict=True):
        assert 143 * (pages[name] - missing) <= shown and missing >= pages[name] - MOST_PAGES
    card = run(environment, "datasets", "show", "real_documents")["prepared"]
    assert card["samples"] == len(rows) and card["images"] <= sum(pages.values())
