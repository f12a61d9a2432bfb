"""samples.parquet: whatever was prepared before opens, and keeps its digests."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixtrack.configs.loading import load_dataset
from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.samples_file import (
    from_row,
    gold_digest,
    question_digest,
    read_samples,
    to_row,
    write_samples,
)
from pixtrack.tasks.records import Sample, SampleImage, Turn

SAMPLE_6_DIGEST = "d52a36c4fa55634f4a5adef51bb37c9ad67a954e3c6db7d37d95fe47c2d9799b"
SAMPLE_6_GOLDS = "bdb28960186dad05e18c7ff8467fd4bdef19e629e4bb30a619653c5abbe8e7ec"
"""Of the generated sample of six images, as the code before samples had several images said."""

IMAGES = tuple(SampleImage(f"{n}" * 64, f"{n}/{n}.png", 10 * n, 20 * n) for n in (1, 2, 3))
SAMPLES = (
    Sample(0, "q0", "What?", ("a", "b"), IMAGES[:1], history=(Turn("Before?", "x"),)),
    Sample(1, "q1", "<image 2> or <image 1>?", (), IMAGES, options=("A", "B"), cluster="doc.pdf"),
    Sample(2, "q2", "No image?", ("c",), details=(("precision", "1"),), flags=("YES",)),
    Sample(3, "", "", (), error="row 3: the question is missing"),
)


def test_the_samples_digests_are_those_of_before(tmp_path: Path) -> None:
    ready = prepare(load_dataset("sample-6"), Home(tmp_path))
    assert (ready.digest, ready.source["gold_digest"]) == (SAMPLE_6_DIGEST, SAMPLE_6_GOLDS)


def test_samples_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "samples.parquet"
    sizes = {image.path: n for n, image in enumerate(IMAGES, 1)}
    write_samples(path, SAMPLES, sizes)
    assert read_samples(path) == (SAMPLES, sizes)
    assert tuple(from_row(to_row(sample)) for sample in SAMPLES) == SAMPLES


def test_a_file_of_one_image_a_sample_opens(tmp_path: Path) -> None:
    path = tmp_path / "samples.parquet"
    old = {
        "index": [0, 1], "question_id": ["a", "b"], "question": ["What?", "Bad?"],
        "answers": [["x"], ["y"]], "image": ["1" * 64, ""], "image_path": ["1/1.png", ""],
        "width": [10, 0], "height": [20, 0], "history": [[], []], "context": ["", ""],
        "question_type": ["t", ""], "answer_type": ["", ""], "flags": [[], []],
        "error": ["", "row 1: bad"], "image_bytes": [7, 0],
    }  # fmt: skip
    history = pa.list_(pa.struct([("question", pa.string()), ("answer", pa.string())]))
    table = pa.table(
        {key: pa.array(v, history) if key == "history" else v for key, v in old.items()}
    )
    pq.write_table(table, path)
    samples, sizes = read_samples(path)
    assert sizes == {"1/1.png": 7}
    assert samples[0].images == (SampleImage("1" * 64, "1/1.png", 10, 20),)
    assert samples[1].images == () and samples[1].error == "row 1: bad"


@pytest.mark.parametrize(
    "changed",
    [
        {"question": "Who?"}, {"images": IMAGES[:2]}, {"images": ()}, {"options": ("A",)},
        {"history": (Turn("Before?", "y"),)}, {"context": "c"}, {"error": "bad"}, {"index": 7},
    ],
)  # fmt: skip
def test_whatever_can_change_an_answer_changes_the_digest(changed: dict[str, object]) -> None:
    from dataclasses import replace

    assert question_digest([SAMPLES[0]]) != question_digest([replace(SAMPLES[0], **changed)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"answers": ("a",)}, {"question_type": "t"}, {"flags": ("NO",)}, {"cluster": "d"},
        {"details": (("unit", "cm"),)}, {"answer_type": "n"},
    ],
)  # fmt: skip
def test_whatever_can_change_a_score_changes_the_golds_digest(changed: dict[str, object]) -> None:
    from dataclasses import replace

    other = replace(SAMPLES[0], **changed)  # type: ignore[arg-type]
    assert gold_digest([SAMPLES[0]]) != gold_digest([other])
    assert question_digest([SAMPLES[0]]) == question_digest([other])
