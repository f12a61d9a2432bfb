"""The drive modes' bench: what is asked, how it is reported."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import documents, drive_modes, report
from bench.architectures import ROOT
from pixtrack.tasks.records import ImageRef, Request

RESULT = {
    "device": "a card",
    "architecture": "pixtral-12b",
    "limit_samples_per_s": 30.0,
    "modes": {
        "grouped": {
            "samples": 8,
            "samples_per_s": 24.0,
            "cached_share": 0.74,
            "ideal_cached_share": 0.75,
            "front_end_ms": 2.3,
            "leader_ms": 4.0,
            "follower_ms": 1.5,
            "image_worker_ms": 80.0,
        },
        "guide_loop": {
            "samples": 8,
            "samples_per_s": 3.0,
            "cached_share": 0.74,
            "front_end_ms": 130.0,
        },
    },
    "conditions": {"engine": "vLLM 0"},
}


def requests(sizes: Sequence[int]) -> list[Request]:
    pages = [ImageRef(f"page{i}", "", 10, 10) for i in range(len(sizes))]
    shown = [page for page, size in zip(pages, sizes, strict=True) for _ in range(size)]
    return [Request(index, (page,), ("q",)) for index, page in enumerate(shown)]


def test_docvqas_group_sizes_are_those_of_the_split() -> None:
    assert sum(documents.DOCVQA_GROUPS.values()) == 1286
    assert sum(size * pages for size, pages in documents.DOCVQA_GROUPS.items()) == 5349
    sizes = documents.group_sizes(1286, "docvqa")
    assert sum(sizes) == 5349 and max(sizes) == 13


@pytest.mark.parametrize("images", [16, 96])
def test_few_images_have_nearly_the_splits_mean(images) -> None:
    sizes = documents.group_sizes(images, "docvqa")
    assert sum(sizes) / images == pytest.approx(5349 / 1286, rel=0.05)


def test_pages_are_drawn_once_and_alike(tmp_path: Path) -> None:
    first = documents.synthetic_requests(tmp_path, 2, "3", (64, 80))
    again = documents.synthetic_requests(tmp_path, 2, "3", (64, 80))
    assert first == again and len(first) == 6
    assert len({request.images[0].sha256 for request in first}) == 2


def test_a_shorter_mode_asks_whole_image_groups() -> None:
    options = drive_modes.parse(["--guide-samples", "5"])
    asked = drive_modes.of_mode("guide_loop", requests([4, 4, 4]), options)
    assert len(asked) == 8
    assert len(drive_modes.of_mode("chat_batch", requests([4, 4, 4]), options)) == 12


def test_a_variant_asks_other_questions_of_the_same_pages() -> None:
    options = drive_modes.parse(["--variant-images", "2"])
    asked = drive_modes.of_mode("grouped:7", requests([4, 4, 4]), options)
    assert len(asked) == 14
    assert {request.images[0].sha256 for request in asked} == {"page0", "page1"}


def test_the_report_is_a_table_a_plot_and_json(tmp_path: Path) -> None:
    text = report.write(RESULT, tmp_path)
    assert json.loads((tmp_path / "bench.json").read_text()) == RESULT
    assert (tmp_path / "drive_modes.png").read_bytes().startswith(b"\x89PNG")
    assert text.startswith((tmp_path / "table.txt").read_text().rstrip())
    ours, guide = text.splitlines()[2:4]
    assert ours.split()[-7:] == ["24.00", "8.0", "80.0%", "74.0%", "75.0%", "2.3", "ms"]
    assert guide.split()[-6:] == ["3.00", "1.0", "10.0%", "74.0%", "130.0", "ms"]


@pytest.mark.parametrize("name", ["h100-pixtral-12b", "h100-pixtral-12b-fp8"])
def test_a_measured_run_in_the_repository_is_reported_as_it_is(name) -> None:
    folder = ROOT / "bench" / "measured"
    result = json.loads((folder / f"{name}.json").read_text())
    assert report.table(result) == (folder / f"{name}.txt").read_text().rstrip("\n")


def test_alike_answers_are_counted_against_the_guides_loop() -> None:
    texts = {"grouped": {0: "a", 1: "b", 2: "c"}, "guide_loop": {0: "a", 1: "x"}}
    assert drive_modes.same_texts(texts) == {"grouped": "1 of 2"}
