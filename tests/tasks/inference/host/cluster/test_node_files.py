"""A node's images and model files: found, sent once, never another's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_model
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import Sampling
from pixtrack.tasks.inference.host.cluster import node_files
from pixtrack.tasks.inference.host.cluster.node_files import NodeImages, files_on_node
from pixtrack.tasks.runs.protocol import Order

DATA = b"bytes of an image"
DIGEST = hashlib.sha256(DATA).hexdigest()


def order(path: Path | str, digest: str = DIGEST) -> Order:
    image = {"sha256": digest, "path": str(path), "width": 1, "height": 1}
    request = {"index": 0, "images": [image], "turns": ["?"]}
    return Order(order="ask", group=1, requests=(request,), sampling=Sampling(max_tokens=1))


def path_in(asked: Order) -> str:
    return str(asked.requests[0]["images"][0]["path"])


def test_an_image_that_the_node_sees_is_read_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "page.png"
    file.write_bytes(DATA)
    resolved = NodeImages(Home(tmp_path / "home")).resolve(order(file))
    assert not resolved.absent and path_in(resolved.order) == str(file)


def test_another_file_at_the_same_path_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "page.png"
    file.write_bytes(b"the node's own page")
    images = NodeImages(Home(tmp_path / "home"))
    assert images.resolve(order(file)).absent == {DIGEST: str(file)}


def test_a_missing_image_is_asked_for_once_and_kept_by_its_hash(tmp_path: Path) -> None:
    images = NodeImages(Home(tmp_path))
    absent = images.resolve(order("/elsewhere/page.png")).absent
    assert images.to_ask_for(absent) == {DIGEST: "/elsewhere/page.png"}
    assert images.to_ask_for(absent) == {}
    images.keep({DIGEST: DATA})
    resolved = images.resolve(order("/elsewhere/page.png"))
    kept = Path(path_in(resolved.order))
    assert not resolved.absent and kept.read_bytes() == DATA and tmp_path in kept.parents
    # The next replica on this node finds it.
    assert not NodeImages(Home(tmp_path)).resolve(order("/elsewhere/page.png")).absent


@pytest.mark.parametrize("sent", [b"", b"other bytes"])
def test_an_image_that_cannot_be_had_is_left_to_the_child_to_refuse(
    sent: bytes, tmp_path: Path
) -> None:
    images = NodeImages(Home(tmp_path))
    images.keep({DIGEST: sent})
    resolved = images.resolve(order("/elsewhere/page.png"))
    assert not resolved.absent and path_in(resolved.order) == "/elsewhere/page.png"


def test_model_files_are_the_drivers_or_the_nodes_own_or_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model("pixtral-nano")
    driver, here, fetched = (tmp_path / name for name in ("driver", "here", "fetched"))
    driver.mkdir()
    found: list[Path | None] = [here, None]
    monkeypatch.setattr(node_files, "local_files", lambda *_: found.pop(0))
    monkeypatch.setattr(node_files, "fetch_model", lambda *_, **__: fetched)
    monkeypatch.setattr(node_files, "model_identity", lambda *_: {"files": "d1"})

    def files(directory: Path, digest: str = "d1") -> Path:
        def progress(done: int, total: int) -> Any: ...

        return files_on_node(model, directory, Home(tmp_path), "node-b", digest, progress)

    assert files(driver) == driver
    assert files(tmp_path / "not here") == here
    assert files(tmp_path / "not here") == fetched
    with pytest.raises(UserError, match=r"node-b: .*not the files of pixtral-nano that the driver"):
        files(driver, "d2")
