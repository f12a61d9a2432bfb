"""Datasets from the hub, against a local server that speaks its protocol."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets import prepare
from tests.doubles.hub import FakeHub
from tests.doubles.hub_datasets import NAMES, SCHEMAS, hub_row, parquet, put_on_hub
from tests.tasks.datasets.conftest import changed


@pytest.mark.parametrize("name", NAMES)
def test_each_dataset_loads_from_its_real_schema_in_the_order_of_its_annotations(
    hub: FakeHub, home: Home, name: str
) -> None:
    copy = put_on_hub(hub, name, shuffled=not name.startswith("chartqa_"))
    ready = prepare(copy.config, home)
    assert [sample.index for sample in ready.samples] == list(range(12))
    assert [sample.error for sample in ready.samples] == [""] * 12
    key = "Question" if name == "chartqapro_test" else "question"
    for sample, row in zip(ready.samples, copy.rows, strict=True):
        asked = row[key] if isinstance(row[key], str) else row[key][-1]
        assert sample.question == asked
        assert (home.images / sample.image_path).read_bytes() == (
            row["image"] if isinstance(row["image"], bytes) else row["image"]["bytes"]
        )
        assert (sample.width, sample.height) == (40, 30)
    assert len({sample.image for sample in ready.samples}) == 6
    assert ready.source["revision"] == copy.commit
    assert ready.source["annotations"]["aligned"] is True
    assert not {"questions_differ", "golds_differ"} & ready.source["notes"].keys()


def test_golds_keep_each_datasets_form(hub: FakeHub, home: Home) -> None:
    doc = prepare(put_on_hub(hub, "docvqa_val", 3).config, home).samples
    assert doc[1].answers == ("1", "1.0")
    assert [sample.question_type for sample in doc] == ["handwritten, form", "layout", "layout"]
    text = prepare(put_on_hub(hub, "textvqa_val", 3).config, home).samples
    assert text[0].answers == ("yes",) * 7 + ("no",) * 3
    vqa = prepare(put_on_hub(hub, "vqav2_restval", 3).config, home).samples
    assert vqa[0].answers == ("yes",) * 7 + ("no",) * 3
    assert (vqa[0].question_type, vqa[0].answer_type) == ("what is", "yes/no")


def test_chartqapro_asks_the_last_turn_with_the_earlier_ones_as_history(
    hub: FakeHub, home: Home
) -> None:
    samples = prepare(put_on_hub(hub, "chartqapro_test", 6).config, home).samples
    talk = samples[1]
    assert talk.question == "Third 1?"
    assert talk.answers == ("three",)
    assert [(turn.question, turn.answer) for turn in talk.history] == [
        ("First?", "one"),
        ("Second?", "two"),
    ]
    assert talk.flags == ("NO", "YES", "NO")
    assert talk.question_type == "Conversational"
    assert samples[3].context == "Some words."
    assert samples[3].flags == ("Yes",)
    assert samples[2].answers == ("nan",)  # kept: the official evaluator scores that text
    assert samples[2].error == ""


def test_chartqa_rows_with_one_question_and_gold_on_two_images_stay_apart(
    hub: FakeHub, home: Home
) -> None:
    copy = put_on_hub(hub, "chartqa_test_human")
    samples = prepare(copy.config, home).samples
    assert samples[2].question == samples[7].question
    assert samples[2].image != samples[7].image
    assert (home.images / samples[7].image_path).read_bytes() == copy.rows[7]["image"]["bytes"]
    assert prepare(copy.config, home).source["notes"] == {}  # no ids in the source: none counted


def test_rows_that_only_their_order_tells_apart_are_counted(hub: FakeHub, home: Home) -> None:
    copy = put_on_hub(hub, "chartqa_test_human", shuffled=True)
    ready = prepare(copy.config, home)
    assert ready.source["annotations"]["aligned"] is True
    assert ready.source["notes"] == {"order_decided": 2}


def test_restval_takes_only_the_questions_that_its_annotation_file_lists(
    hub: FakeHub, home: Home
) -> None:
    copy = put_on_hub(hub, "vqav2_restval", 10)
    samples = prepare(copy.config, home).samples
    assert [sample.question_id for sample in samples] == [str(452060000 + i) for i in range(10)]


def test_a_question_of_the_selection_that_the_hub_lacks_is_a_failed_sample(
    hub: FakeHub, home: Home
) -> None:
    copy = put_on_hub(hub, "vqav2_restval", 6)
    rows = [row for row in copy.rows if row["question_id"] != 452060003]
    commit = hub.add(
        "dataset",
        copy.source.repo,
        {"data/validation-00000-of-00001.parquet": parquet(rows, SCHEMAS["vqav2_restval"], 4)},
    )
    samples = prepare(changed(copy, revision=commit).config, home).samples
    assert len(samples) == 6
    assert samples[3].error == "row 3: question id 452060003 is not in the hub's files"
    assert sum(bool(sample.error) for sample in samples) == 1


def test_an_annotation_file_that_cannot_be_had_is_said_and_recorded(
    hub: FakeHub, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    copy = put_on_hub(hub, "docvqa_val", annotations=False)
    with caplog.at_level(logging.WARNING):
        ready = prepare(copy.config, home)
    assert "keep the hub's order, unchecked" in caplog.text
    assert "--annotations FILE" in caplog.text
    assert ready.source["annotations"]["used"] is False


def test_a_selection_without_its_annotation_file_is_refused(hub: FakeHub, home: Home) -> None:
    copy = put_on_hub(hub, "vqav2_restval", annotations=False)
    with pytest.raises(UserError, match=r"annotation file .* cannot be had .* --annotations FILE"):
        prepare(copy.config, home)


def test_an_annotation_file_of_another_content_is_refused(hub: FakeHub, home: Home) -> None:
    copy = changed(put_on_hub(hub, "docvqa_val"), annotations_sha256="0" * 64)
    with pytest.raises(UserError, match=r"has sha256 .* where it was fetched, and .* pins 0000"):
        prepare(copy.config, home)


def test_rows_that_do_not_fit_the_annotation_file_are_said(
    hub: FakeHub, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    copy = put_on_hub(hub, "docvqa_val", 6)
    rows = [hub_row("docvqa_val", number) for number in (0, 1, 2, 3, 4, 77)]
    commit = hub.add(
        "dataset",
        copy.source.repo,
        {"DocVQA/validation-00000-of-00001.parquet": parquet(rows, SCHEMAS["docvqa_val"], 4)},
    )
    with caplog.at_level(logging.WARNING):
        ready = prepare(changed(copy, revision=commit).config, home)
    assert "1 rows are only on the hub, 1 only in the file" in caplog.text
    assert ready.source["annotations"]["aligned"] is False
    assert ready.source["notes"]["rows_only_on_hub"] == 1
    assert len(ready.samples) == 6


def test_golds_that_differ_between_hub_and_annotations_are_counted(
    hub: FakeHub, home: Home
) -> None:
    copy = put_on_hub(hub, "docvqa_val", 6)
    rows = [{**row} for row in copy.rows]
    rows[4]["answers"] = ["something else"]
    commit = hub.add(
        "dataset",
        copy.source.repo,
        {"DocVQA/validation-00000-of-00001.parquet": parquet(rows, SCHEMAS["docvqa_val"], 4)},
    )
    ready = prepare(changed(copy, revision=commit).config, home)
    assert ready.source["notes"]["golds_differ"] == 1
    assert ready.samples[4].answers == ("something else",)


def test_a_missing_column_names_itself_its_key_and_what_there_is(hub: FakeHub, home: Home) -> None:
    copy = put_on_hub(hub, "docvqa_val")
    columns = {**copy.source.columns, "question": "query"}
    with pytest.raises(UserError, match=r"no column 'query' \(source.columns.question.*questionId"):
        prepare(changed(copy, columns=columns).config, home)


def test_a_pattern_that_nothing_matches_lists_what_exists(hub: FakeHub, home: Home) -> None:
    copy = changed(put_on_hub(hub, "docvqa_val"), files=("DocVQA/val-*.parquet",))
    with pytest.raises(UserError) as caught:
        prepare(copy.config, home)
    assert "no file matches source.files 'DocVQA/val-*.parquet'" in str(caught.value)
    assert "DocVQA/validation-*.parquet" in str(caught.value)


@pytest.mark.parametrize("revision", ["short", "branch"])
def test_a_short_hash_or_a_branch_is_pinned_to_its_commit(
    hub: FakeHub, home: Home, caplog: pytest.LogCaptureFixture, revision: str
) -> None:
    copy = put_on_hub(hub, "docvqa_val")
    asked = copy.commit[:7] if revision == "short" else "main"
    with caplog.at_level(logging.WARNING):
        ready = prepare(changed(copy, revision=asked).config, home)
    assert ready.source["revision"] == copy.commit
    assert ready.source["requested_revision"] == asked
    assert copy.commit in caplog.text


def test_a_revision_that_is_gone_says_so(hub: FakeHub, home: Home) -> None:
    copy = put_on_hub(hub, "docvqa_val")
    hub.add("dataset", copy.source.repo, {"README.md": b"rewritten"})
    hub.drop_commit("dataset", copy.source.repo, copy.commit)
    with pytest.raises(UserError, match=r"has no revision '[0-9a-f]{40}' \(any more\)"):
        prepare(copy.config, home)
    with pytest.raises(UserError, match=r"is none of its commits \(any more\); the newest is"):
        prepare(changed(copy, revision=copy.commit[:8]).config, home)


def test_a_branch_that_moves_while_files_are_fetched_does_not_mix_revisions(
    hub: FakeHub, home: Home
) -> None:
    copy = changed(put_on_hub(hub, "docvqa_val"), revision="main")
    seen: list[int] = []

    def move(done: int, total: int) -> None:
        if not seen:
            seen.append(done)
            hub.add("dataset", copy.source.repo, {"DocVQA/validation-00000-of-00001.parquet": b"x"})

    ready = prepare(copy.config, home, move)
    assert ready.source["revision"] == copy.commit
    assert len(ready.samples) == 12


def test_a_renamed_repository_is_followed(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = put_on_hub(hub, "docvqa_val")
    repo = hub.repos.pop(("dataset", "lmms-lab/DocVQA"))
    hub.repos[("dataset", "lmms-lab-encoder/DocVQA")] = repo
    hub.renamed["lmms-lab/DocVQA"] = "lmms-lab-encoder/DocVQA"
    monkeypatch.setenv("HF_TOKEN", hub.valid_token)
    repo.gated = True
    assert len(prepare(copy.config, home).samples) == 12
    short = changed(copy, revision=copy.commit[:9])
    assert prepare(short.config, home).source["revision"] == copy.commit


def test_files_that_the_hub_clients_cache_has_are_not_fetched_again(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = put_on_hub(hub, "docvqa_val")
    cache = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    snapshot_download(
        copy.source.repo, repo_type="dataset", revision=copy.commit, endpoint=hub.url,
        cache_dir=cache,
    )  # fmt: skip
    hub.requests.clear()
    assert len(prepare(copy.config, home).samples) == 12
    assert hub.downloads("/_cdn/") == []
    cached = sorted(p for p in cache.rglob("validation-*.parquet"))
    assert len(cached) == 2  # what is not ours stays
    spoilt = cached[0].resolve()
    spoilt.write_bytes(spoilt.read_bytes()[:-10] + b"0123456789")
    assert len(prepare(copy.config, Home(home.root / "again")).samples) == 12
    assert len(hub.downloads("/_cdn/")) == 1


def test_bad_cells_of_a_shard_are_failed_samples(hub: FakeHub, home: Home) -> None:
    rows = [hub_row("docvqa_val", number) for number in range(7)]
    rows[1]["image"] = None
    rows[2]["image"] = {"bytes": None, "path": "lost.png"}
    rows[3]["image"] = {"bytes": rows[3]["image"]["bytes"][:-20], "path": "cut.png"}
    rows[4]["answers"] = []
    rows[5]["question"] = None
    copy = put_on_hub(hub, "docvqa_val", rows=rows)
    ready = prepare(copy.config, home)
    errors = [sample.error for sample in ready.samples]
    assert errors[0] == errors[6] == ""
    shard = "DocVQA/validation-00000-of-00002.parquet"
    assert errors[1] == f"row 1: {shard} row 1: there is no image"
    assert errors[2] == f"row 2: {shard} row 2: there is no image"
    assert errors[3].startswith(f"row 3: image cut.png ({shard} row 3): cannot be decoded")
    assert errors[4] == "" and ready.samples[4].answers == ()  # asked, and not scored
    assert errors[5] == "row 5: the question is missing"
    assert ready.source["failed"] == 4
    assert ready.source["notes"]["without_gold"] == 1
