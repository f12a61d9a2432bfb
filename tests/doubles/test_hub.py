"""The local hub keeps the protocol's promises, as the real client reads them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from tests.doubles.hub import FakeHub

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as server:
        yield server


def api(hub: FakeHub, token: str | bool = False) -> HfApi:
    return HfApi(endpoint=hub.url, token=token)


def test_the_client_reads_repositories_trees_and_commits(hub: FakeHub) -> None:
    first = hub.add("model", "o/m", {"config.json": b"{}"})
    second = hub.add("model", "o/m", {"config.json": b"{}", "sub/w.safetensors": CONTENT})
    assert api(hub).model_info("o/m").sha == second
    assert api(hub).model_info("o/m", revision=first).sha == first
    assert sorted(api(hub).list_repo_files("o/m")) == ["config.json", "sub/w.safetensors"]
    assert [c.commit_id for c in api(hub).list_repo_commits("o/m")] == [second, first]
    info = api(hub).get_paths_info("o/m", "sub/w.safetensors")[0]
    assert isinstance(info, RepoFile) and info.lfs
    assert info.lfs.sha256 == hub.sha256(CONTENT)


def test_lfs_files_lie_on_another_host_that_takes_no_token(hub: FakeHub) -> None:
    commit = hub.add("dataset", "o/d", {"a.parquet": CONTENT})
    url = f"{hub.url}/datasets/o/d/resolve/{commit}/a.parquet"
    first = httpx.get(url)
    assert first.status_code == 302
    assert first.headers["x-linked-etag"] == f'"{hub.sha256(CONTENT)}"'
    assert first.headers["x-linked-size"] == str(len(CONTENT))
    place = first.headers["location"]
    assert not place.startswith(hub.url)
    assert httpx.get(place).content == CONTENT
    assert httpx.get(place, headers={"Authorization": "Bearer x"}).status_code == 400
    part = httpx.get(place, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, CONTENT[10:20])


def test_refusals_are_the_hubs_own(hub: FakeHub) -> None:
    commit = hub.add("dataset", "o/d", {"a.txt": b"x"}, gated=True)
    with pytest.raises(RepositoryNotFoundError):
        api(hub).dataset_info("o/other")
    with pytest.raises(RevisionNotFoundError):
        api(hub).dataset_info("o/d", revision="1" * 40)
    with pytest.raises(RevisionNotFoundError):
        api(hub).dataset_info("o/d", revision=commit[:7])
    with pytest.raises(GatedRepoError):
        api(hub).hf_hub_download("o/d", "a.txt", repo_type="dataset")


def test_faults_happen_as_often_as_asked(hub: FakeHub) -> None:
    commit = hub.add("dataset", "o/d", {"a.txt": CONTENT})
    url = f"{hub.url}/datasets/o/d/resolve/{commit}/a.txt"
    hub.fail("a.txt", status=429, retry_after=7)
    busy = httpx.get(url)
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "7")
    hub.fail("a.txt", cut_after=100, skip=1)
    assert httpx.get(url).content == CONTENT
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url)
    hub.fail("a.txt", corrupt=True)
    wrong = httpx.get(url).content
    assert len(wrong) == len(CONTENT)
    assert wrong != CONTENT
    assert httpx.get(url).content == CONTENT
