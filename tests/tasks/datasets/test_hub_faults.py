"""What a hub in trouble, out of reach or with bad content does to a dataset, on a local server."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.manifest import read_manifest
from pixtrack.tasks.datasets.pinned import keep
from tests.doubles.hub import FakeHub
from tests.doubles.hub_datasets import SCHEMAS, HubCopy, hub_row, put_on_hub
from tests.tasks.datasets.conftest import changed


def fill_the_clients_cache(copy: HubCopy, hub: FakeHub, cache: Path, *only: str) -> None:
    """What the hub's own client would have left there, offline ever since."""
    snapshot_download(
        copy.source.repo,
        repo_type="dataset",
        revision=copy.commit,
        cache_dir=cache,
        endpoint=hub.url,
        allow_patterns=list(only) or None,
    )


def test_a_cut_connection_is_taken_up_where_it_broke(hub: FakeHub, home: Home) -> None:
    copy = put_on_hub(hub, "docvqa_val", shards=1)
    tree = hub.repos[("dataset", copy.source.repo)].commits[copy.commit]
    (shard,) = (content for path, content in tree.items() if path.endswith("00001.parquet"))
    assert isinstance(shard, bytes)
    size = len(shard)
    hub.fail("/_cdn/", cut_after=size // 2)
    assert len(prepare(copy.config, home).samples) == 12
    ranges = [request.range for request in hub.downloads("/_cdn/")]
    assert ranges[0] == ""
    assert ranges[1].startswith("bytes=")
    assert ranges[1] != "bytes=0-"


def test_too_many_requests_are_waited_out(hub: FakeHub, home: Home) -> None:
    copy = put_on_hub(hub, "docvqa_val", shards=1)
    hub.fail("/tree/", status=429, retry_after=1)
    hub.fail("/resolve/", status=429, retry_after=1)
    assert len(prepare(copy.config, home).samples) == 12


def test_wrong_content_is_fetched_again_and_then_refused(hub: FakeHub, home: Home) -> None:
    copy = put_on_hub(hub, "docvqa_val", shards=1)
    fault = hub.fail("/_cdn/", corrupt=True)
    assert len(prepare(copy.config, home).samples) == 12
    assert fault.times == 0
    other = put_on_hub(hub, "textvqa_val", shards=1)
    hub.fail("/_cdn/", corrupt=True, times=9)
    with pytest.raises(UserError, match=r"sha256 is .* listed is"):
        prepare(other.config, home)
    assert read_manifest(home.datasets / "textvqa_val") is None


def test_a_gated_repository_says_how_to_get_in(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = put_on_hub(hub, "docvqa_val")
    hub.repos[("dataset", copy.source.repo)].gated = True
    with pytest.raises(UserError, match=r"is gated and no token is set: accept its conditions"):
        prepare(copy.config, home)
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(UserError, match=r"your token has no access yet"):
        prepare(copy.config, home)
    monkeypatch.setenv("HF_TOKEN", hub.valid_token)
    assert len(prepare(copy.config, home).samples) == 12


def test_a_token_reaches_the_endpoint_alone(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.valid_token)
    copy = put_on_hub(hub, "docvqa_val")
    hub.repos[("dataset", copy.source.repo)].gated = True
    hub.fail("/_cdn/", cut_after=100)
    with caplog.at_level(logging.DEBUG):
        prepare(copy.config, home)
    assert any(request.token == hub.valid_token for request in hub.requests)
    assert not any(request.token for request in hub.downloads("/_cdn/"))
    assert hub.valid_token not in caplog.text
    for path in home.root.rglob("*"):
        if path.is_file():
            assert hub.valid_token.encode() not in path.read_bytes(), path


def test_offline_says_what_is_missing_and_asks_nobody(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = put_on_hub(hub, "docvqa_val")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        UserError, match=r"HF_HUB_OFFLINE is set and dataset .* is not, or not whole, in"
    ):
        prepare(copy.config, home)
    with pytest.raises(UserError, match=r"is not here and HF_HUB_OFFLINE is set: get it from"):
        prepare(put_on_hub(hub, "vqav2_restval").config, home)
    assert hub.requests == []


def test_offline_works_from_the_hub_clients_cache(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = put_on_hub(hub, "docvqa_val", shuffled=True)
    cache = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    fill_the_clients_cache(copy, hub, cache)
    local = tmp_path / "val.jsonl"
    local.write_bytes(copy.annotations)
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    keep(copy.config, copy.source, home, local)
    ready = prepare(copy.config, home)
    assert hub.requests == []
    assert ready.source["revision"] == copy.commit
    assert ready.source["annotations"]["aligned"] is True
    monkeypatch.delenv("HF_HUB_OFFLINE")
    online = prepare(copy.config, Home(home.root / "online"))
    assert (online.digest, online.samples) == (ready.digest, ready.samples)
    assert sorted(p.name for p in cache.rglob("validation-*.parquet"))  # what is not ours stays


def test_offline_refuses_a_cache_that_lacks_a_shard(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = put_on_hub(hub, "textvqa_val", annotations=False)
    cache = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    fill_the_clients_cache(copy, hub, cache, "data/validation-00000*")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        UserError, match=r"not whole, in the hub's cache|lacks data/validation-00001"
    ):
        prepare(copy.config, home)


def test_an_interrupted_preparation_fetches_no_finished_file_again(
    hub: FakeHub, home: Home
) -> None:
    copy = put_on_hub(hub, "docvqa_val", 24, shards=3)

    def stop(done: int, total: int) -> None:
        if done >= 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(copy.config, home, stop)
    first = {r.path for r in hub.downloads("00000-of-00003.parquet")}
    assert first
    hub.requests.clear()
    seen: list[int] = []
    ready = prepare(copy.config, home, lambda done, _: seen.append(done))
    assert hub.downloads("00000-of-00003.parquet") == []
    assert seen[0] >= 12
    assert ready.samples == prepare(copy.config, Home(home.root / "again")).samples
    assert not (home.datasets / "docvqa_val" / ".work").exists()


def test_text_that_is_not_utf8_spoils_its_own_row_only(hub: FakeHub, home: Home) -> None:
    import pyarrow as pa

    schema = SCHEMAS["docvqa_val"]
    rows = [hub_row("docvqa_val", number) for number in range(4)]
    # Arrow does not check strings that it is handed as buffers: as a faulty writer would.
    binary = schema.set(1, pa.field("question", pa.binary()))
    table = pa.Table.from_pylist(
        [{**row, "question": row["question"].encode()} for row in rows], schema=binary
    )
    spoilt = table.column("question").to_pylist()
    spoilt[2] = b"caf\xe9?"
    array = pa.array(spoilt, pa.binary())
    text = pa.StringArray.from_buffers(4, array.buffers()[1], array.buffers()[2])
    table = table.set_column(1, "question", text)
    import io

    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(table, file)
    copy = put_on_hub(hub, "docvqa_val", annotations=False)
    commit = hub.add(
        "dataset", copy.source.repo, {"DocVQA/validation-00000-of-00001.parquet": file.getvalue()}
    )
    samples = prepare(changed(copy, revision=commit).config, home).samples
    assert [bool(sample.error) for sample in samples] == [False, False, True, False]
    assert "not valid UTF-8" in samples[2].error


def test_a_file_that_is_not_parquet_is_named(hub: FakeHub, home: Home) -> None:
    copy = put_on_hub(hub, "docvqa_val")
    commit = hub.add("dataset", copy.source.repo, {"DocVQA/validation-0.parquet": b"not parquet"})
    with pytest.raises(UserError, match=r"validation-0.parquet: not readable parquet"):
        prepare(changed(copy, revision=commit).config, home)
