"""MMLongBench-Doc: questions in parquet, and the PDF documents that they are about beside it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download
from PIL import Image

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_dataset
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import HubDocuments
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.formats.mmlongbench_doc import NOWHERE
from pixtrack.tasks.records import Answer
from pixtrack.tasks.scoring.scored import score_outputs
from tests.doubles.benchmark_datasets import (
    BenchmarkCopy,
    hub_row,
    page_colour,
    pdf,
    put_benchmark,
)
from tests.doubles.hub import FakeHub

NAME = "mmlongbench_doc"


def test_a_question_is_on_every_page_of_its_document_in_order(hub: FakeHub, home: Home) -> None:
    samples = prepare(put_benchmark(hub, NAME).config, home).samples
    # Rows 0 to 2 are on a document of two pages, 3 to 5 on one of three.
    assert [len(sample.images) for sample in samples] == [2, 2, 2, 3, 3, 3]
    assert {sample.cluster for sample in samples} == {"report 0.pdf", "report 1.pdf"}
    assert [sample.cluster_key for sample in samples[:2]] == [samples[0].cluster_key] * 2
    for page, image in enumerate(samples[3].images):
        # 16 by 20 points at 144 dots an inch.
        assert (image.width, image.height) == (32, 40)
        with Image.open(io.BytesIO((home.images / image.path).read_bytes())) as shown:
            found = shown.convert("RGB").getpixel((16, 20))
        assert isinstance(found, tuple)
        assert found == pytest.approx(page_colour(1, page), abs=6)


def test_golds_formats_and_evidence_are_kept_as_the_metric_reads_them(
    hub: FakeHub, home: Home
) -> None:
    copy = put_benchmark(hub, NAME)
    samples = prepare(copy.config, home).samples
    assert [sample.answers for sample in samples[:3]] == [
        ("18.29%",),
        ("['a', 'b']",),
        ("Not answerable",),
    ]
    assert [sample.answer_type for sample in samples[:3]] == ["Float", "List", "None"]
    assert [sample.question_type for sample in samples[1:3]] == ["Chart, Table", NOWHERE]
    said = ["18.3", "['b', 'a']", "Not answerable", "7", "a", "not stated"]
    answers = {number: Answer(number, text, "stop") for number, text in enumerate(said)}
    scored = score_outputs(samples, answers, copy.config)
    assert scored.metrics[NAME].value == 50
    assert scored.by["question_type"][NOWHERE][NAME].value == 50
    assert scored.figures[NAME].keys() == {"F1 over the answerable, %"}


def test_no_more_pages_are_shown_than_the_publishers_show() -> None:
    config = load_dataset(NAME)
    assert (config.max_pages, config.pages, config.cluster) == (120, "first", "document")


def test_each_document_is_fetched_once_and_leaves_the_disk(hub: FakeHub, home: Home) -> None:
    prepare(put_benchmark(hub, NAME, 9).config, home)
    assert [len(hub.downloads(f"report {number}.pdf")) for number in range(3)] == [1, 1, 1]
    assert not hub.downloads("unused")
    assert not list(home.datasets.rglob("*.pdf"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"%PDF-1.7 torn", "not a PDF that can be opened"),
        (b"", "empty file (0 bytes)"),
        (pdf(7, 4), "a PDF of 4 pages, more than 3"),
    ],
)
def test_a_document_that_cannot_be_rendered_spoils_its_own_rows_only(
    hub: FakeHub, home: Home, data: bytes, said: str
) -> None:
    copy = put_benchmark(hub, NAME, documents={"report 1.pdf": data})
    documents = HubDocuments(files="documents/*.pdf", most_pages=3)
    source = copy.source.model_copy(update={"documents": documents})
    samples = prepare(copy.config.model_copy(update={"source": source}), home).samples
    assert [bool(sample.error) for sample in samples] == [False] * 3 + [True] * 3
    for sample in samples[3:]:
        assert f"row {sample.index}: data/train-00001" in sample.error
        assert "document 'report 1.pdf': " in sample.error
        assert not sample.images
        assert said in sample.error


@pytest.mark.parametrize(
    ("name", "said"),
    [("gone.pdf", "no such document in the repository"), (None, "no file name"), ("", "no file")],
)
def test_a_row_whose_document_is_not_there_is_a_failed_sample(
    hub: FakeHub, home: Home, name: str | None, said: str
) -> None:
    rows = [hub_row(NAME, 0), {**hub_row(NAME, 1), "doc_id": name}, hub_row(NAME, 2)]
    copy = put_benchmark(hub, NAME, rows=rows, documents={"gone.pdf": None})
    samples = prepare(copy.config, home).samples
    assert [bool(sample.error) for sample in samples] == [False, True, False]
    assert said in samples[1].error


def test_a_document_with_other_content_than_listed_is_fetched_again_and_then_refused(
    hub: FakeHub, home: Home
) -> None:
    copy = put_benchmark(hub, NAME)
    fault = hub.fail("report", corrupt=True)
    assert not any(sample.error for sample in prepare(copy.config, home).samples)
    assert fault.times == 0
    hub.fail("report", corrupt=True, times=9)
    with pytest.raises(UserError, match=r"report 0\.pdf"):
        prepare(copy.config, Home(home.root / "other"))


def test_an_interrupted_preparation_goes_on_with_the_same_samples(hub: FakeHub, home: Home) -> None:
    copy = put_benchmark(hub, NAME, 12)

    def stop(done: int, _: int) -> None:
        if done >= 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(copy.config, home, stop)
    hub.requests.clear()
    seen: list[int] = []
    ready = prepare(copy.config, home, lambda done, _: seen.append(done))
    assert seen[0] >= 7
    assert hub.downloads("report 0") == hub.downloads("report 1") == []
    assert ready.samples == prepare(copy.config, Home(home.root / "again")).samples


def test_offline_the_documents_come_from_the_hub_clients_cache(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = put_benchmark(hub, NAME)
    cache = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    fill(cache, hub, copy)
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    ready = prepare(copy.config, home)
    assert hub.requests == []
    assert len(list(cache.rglob("report*.pdf"))) == 2  # what is not ours stays
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert prepare(copy.config, Home(home.root / "online")).samples == ready.samples


def test_offline_refuses_a_cache_that_lacks_a_document(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = put_benchmark(hub, NAME)
    cache = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    fill(cache, hub, copy, "data/*", "documents/report 0.pdf")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE is set and .*(lacks|not whole)"):
        prepare(copy.config, home)


def test_a_repository_without_documents_names_the_setting(hub: FakeHub, home: Home) -> None:
    copy = put_benchmark(hub, NAME)
    documents = HubDocuments(files="papers/*.pdf")
    source = copy.source.model_copy(update={"documents": documents})
    with pytest.raises(UserError, match=r"no file matches source\.documents\.files 'papers/"):
        prepare(copy.config.model_copy(update={"source": source}), home)


def fill(cache: Path, hub: FakeHub, copy: BenchmarkCopy, *only: str) -> None:
    """What the hub's own client would have left in its cache."""
    snapshot_download(
        copy.source.repo,
        repo_type="dataset",
        revision=copy.commit,
        cache_dir=cache,
        endpoint=hub.url,
        allow_patterns=list(only) or None,
    )
