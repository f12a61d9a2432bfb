"""The seven real annotation files, through both sources, with drawn pictures for the images.

The hub's shards are made from the same questions in the hub's schema and another order: both ways
must end in the same samples. Needs the annotation files (PIXTRACK_TEST_ANNOTATIONS).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.loading import load_dataset
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import AnnotationDataset
from pixtrack.tasks.datasets import prepare
from tests.doubles.hub import FakeHub
from tests.doubles.hub_datasets import NAMES, SCHEMAS, parquet, png
from tests.shared import ANNOTATIONS, needs_annotations

pytestmark = needs_annotations


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with FakeHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


def hub_row(name: str, line: dict[str, Any], image: bytes) -> dict[str, Any]:
    """An annotation line in the hub's schema."""
    cell = {"bytes": image, "path": None}
    if name in ("docvqa_val", "infographicvqa_val"):
        return {
            "questionId": str(line["question_id"]),
            "question": line["question"],
            "answers": line["answer"],
            "image": cell,
        }
    if name.startswith("chartqa_"):
        kind = "human_test" if name.endswith("human") else "augmented_test"
        return {"type": kind, "question": line["question"], "answer": line["answer"], "image": cell}
    if name == "chartqapro_test":
        return {
            "Question": line["question"],
            "Answer": line["answer"],
            "Question Type": line["question_type"],
            "Year": line["year"],
            "image": image,
            "Paragraph": "",
        }
    answers = line["answer"]
    if name == "textvqa_val":
        answers = [answer["answer"] for answer in answers]
    return {
        "question_id": line["question_id"],
        "question": line["question"],
        "answers": answers,
        "image": cell,
    }


@pytest.mark.parametrize("name", NAMES)
def test_hub_and_image_folder_end_in_the_same_samples(
    hub: FakeHub, tmp_path: Path, name: str
) -> None:
    config = load_dataset(name)
    source = config.source
    assert source.kind == "hub"
    file = ANNOTATIONS / f"{name}.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    numbers = {image: n for n, image in enumerate(dict.fromkeys(line["image"] for line in lines))}
    pictures = {image: png(n, (24 + n % 50, 16 + n // 50)) for image, n in numbers.items()}
    folder = tmp_path / "images"
    for image, data in pictures.items():
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).write_bytes(data)

    rows = [hub_row(name, line, pictures[line["image"]]) for line in lines]
    if not name.startswith("chartqa"):  # without ids, equal rows are told apart by their order
        rows = rows[1::2] + rows[::2]
    shard = source.files[0].replace("*", "00000-of-00001")
    commit = hub.add("dataset", source.repo, {shard: parquet(rows, SCHEMAS[name], 100)})
    path = source.annotations_file.replace("*", "data/")
    hub.add("dataset", source.annotations_repo, {path: file.read_bytes()})

    pinned = source.model_copy(update={"revision": commit, "annotations_url": ""})
    ready = prepare(config.model_copy(update={"source": pinned}), Home(tmp_path / "hub"))
    local = AnnotationDataset(
        qa_file=str(file), img_folder=str(folder), sha256=source.annotations_sha256
    )
    other = prepare(config.model_copy(update={"source": local}), Home(tmp_path / "folder"))

    assert ready.source["annotations"]["aligned"] is True
    assert len(ready.samples) == config.questions
    assert not any(sample.error for sample in (*ready.samples, *other.samples))
    assert not {"questions_differ", "golds_differ"} & ready.source["notes"].keys()
    assert [s.question for s in ready.samples] == [s.question for s in other.samples]
    assert [s.answers for s in ready.samples] == [s.answers for s in other.samples]
    assert [s.history for s in ready.samples] == [s.history for s in other.samples]
    assert ready.digest == other.digest
    assert ready.source["gold_digest"] == other.source["gold_digest"]
