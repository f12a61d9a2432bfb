from __future__ import annotations

import errno
import logging
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.download import (
    fetch_model,
    local_files,
    read_manifest,
)
from pixtrack.tasks.transfer import download as transfer
from tests.doubles.hub import FakeHub
from tests.doubles.model_files import hf_files, mistral_files, model, write

REPO = "mistralai/Tiny"


def names(directory: Path) -> set[str]:
    return {p.name for p in directory.iterdir() if p.is_file() and not p.name.startswith(".")}


def test_only_the_files_that_mistral_format_needs_are_downloaded(hub: FakeHub, home: Home) -> None:
    files = mistral_files() | hf_files()
    commit = hub.add("model", REPO, files)
    directory = fetch_model(model(REPO, commit), home)
    assert names(directory) == {"params.json", "consolidated.safetensors", "tekken.json"}
    weights = (directory / "consolidated.safetensors").read_bytes()
    assert weights == files["consolidated.safetensors"]


def test_hf_format_leaves_out_the_consolidated_copy(hub: FakeHub, home: Home) -> None:
    commit = hub.add("model", REPO, hf_files(shards=3))
    found = names(fetch_model(model(REPO, commit, "hf"), home))
    assert "consolidated.safetensors" not in found
    assert "pytorch_model.bin" not in found
    assert {f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)} <= found
    assert {"chat_template.jinja", "preprocessor_config.json", "tokenizer.json"} <= found


def test_a_verified_download_asks_the_hub_nothing(hub: FakeHub, home: Home) -> None:
    config = model(REPO, hub.add("model", REPO, mistral_files()))
    fetch_model(config, home)
    before = len(hub.requests)
    assert fetch_model(config, home) == local_files(config, home)
    assert len(hub.requests) == before


def test_the_manifest_records_commit_and_digests(hub: FakeHub, home: Home) -> None:
    files = mistral_files()
    commit = hub.add("model", REPO, files)
    manifest = read_manifest(fetch_model(model(REPO, commit), home))
    assert manifest is not None
    assert (manifest.repo, manifest.revision) == (REPO, commit)
    weights = manifest.files["consolidated.safetensors"]
    assert weights.sha256 == hub.sha256(files["consolidated.safetensors"])


def test_a_file_changed_afterwards_is_noticed_and_downloaded_again(
    hub: FakeHub, home: Home
) -> None:
    files = mistral_files()
    config = model(REPO, hub.add("model", REPO, files))
    weights = fetch_model(config, home) / "consolidated.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1  # same size
    weights.write_bytes(bytes(damaged))
    assert local_files(config, home) is None
    fetch_model(config, home)
    assert weights.read_bytes() == files["consolidated.safetensors"]
    assert len(hub.downloads("tekken.json")) == 1


def test_an_interrupted_download_goes_on_where_it_broke(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = mistral_files(size=3_000_000)
    config = model(REPO, hub.add("model", REPO, files))
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    hub.fail("/_cdn/", cut_after=1_000_000)
    hub.fail("/_cdn/", status=503)
    with pytest.raises(UserError, match="run the same command again to continue"):
        fetch_model(config, home)
    fetch_model(config, home)
    ranges = [seen.range for seen in hub.requests if seen.range]
    assert any(int(r.removeprefix("bytes=").rstrip("-")) >= 900_000 for r in ranges)
    assert local_files(config, home) is not None


def test_a_broken_connection_is_taken_up_within_one_call(hub: FakeHub, home: Home) -> None:
    files = mistral_files(size=2_000_000)
    config = model(REPO, hub.add("model", REPO, files))
    hub.fail("/_cdn/", cut_after=700_000, times=2)
    directory = fetch_model(config, home)
    assert (directory / "consolidated.safetensors").read_bytes() == files[
        "consolidated.safetensors"
    ]


def test_wrong_content_is_fetched_again_and_then_refused(hub: FakeHub, home: Home) -> None:
    config = model(REPO, hub.add("model", REPO, mistral_files()))
    hub.fail("/_cdn/", corrupt=True, times=1)
    fetch_model(config, home)  # the second try is right
    other = config.model_copy(update={"name": "other"})
    hub.fail("/_cdn/", corrupt=True, times=99)
    with pytest.raises(UserError, match=r"consolidated\.safetensors: sha256 is .* listed is"):
        fetch_model(other, home)
    assert not (home.models / "other" / "consolidated.safetensors").exists()


def test_small_files_are_verified_by_their_git_blob_id(hub: FakeHub, home: Home) -> None:
    config = model(REPO, hub.add("model", REPO, mistral_files()))
    hub.fail("params.json", corrupt=True, times=99)
    with pytest.raises(UserError, match=r"params\.json: git blob id"):
        fetch_model(config, home)


def test_too_little_disk_is_said_with_the_figure_before_a_byte_is_loaded(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = model(REPO, hub.add("model", REPO, mistral_files(size=5_000_000)))
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"5\.0 MB are still to be downloaded and 1\.0 MB are free"):
        fetch_model(config, home)
    assert not hub.downloads("consolidated")


def test_a_home_that_cannot_be_written_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    config = model(REPO, hub.add("model", REPO, mistral_files()))
    with pytest.raises(UserError, match=r"cannot be written .* set PIXTRACK_HOME"):
        fetch_model(config, Home(tmp_path / "file"))


def test_a_disk_that_fills_up_on_the_way_is_one_line(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: transfer.Meter, count: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "consolidated.safetensors")

    monkeypatch.setattr(transfer.Meter, "add", full)
    config = model(REPO, hub.add("model", REPO, mistral_files(size=10)))
    with pytest.raises(UserError, match="No space left on device"):
        fetch_model(config, home)


def test_progress_ends_at_the_whole_size(hub: FakeHub, home: Home) -> None:
    files = mistral_files(size=3_000_000)
    seen: list[tuple[int, int]] = []
    fetch_model(
        model(REPO, hub.add("model", REPO, files)), home, progress=lambda *at: seen.append(at)
    )
    total = sum(len(files[n]) for n in ("params.json", "tekken.json", "consolidated.safetensors"))
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_gated_repository_is_explained_with_link_and_variable(hub: FakeHub, home: Home) -> None:
    config = model(REPO, hub.add("model", REPO, mistral_files(), gated=True))
    with pytest.raises(UserError) as error:
        fetch_model(config, home)
    assert f"https://huggingface.co/{REPO}" in str(error.value)
    assert "HF_TOKEN" in str(error.value)
    assert "no token is set" in str(error.value)


def test_a_token_opens_a_gated_repository_and_goes_to_the_hub_alone(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: FakeHub.valid_token)
    config = model(REPO, hub.add("model", REPO, mistral_files(), gated=True))
    fetch_model(config, home)
    assert any(seen.token == FakeHub.valid_token for seen in hub.requests)
    elsewhere = [seen for seen in hub.requests if not hub.url.endswith(seen.host)]
    assert elsewhere, "LFS files come from another host"
    assert all(not seen.token for seen in elsewhere)
    assert FakeHub.valid_token not in caplog.text


def test_unknown_repositories_and_revisions_are_named(hub: FakeHub, home: Home) -> None:
    hub.add("model", REPO, mistral_files())
    with pytest.raises(UserError, match="no model 'mistralai/Absent'"):
        fetch_model(model("mistralai/Absent", "main"), home)
    with pytest.raises(UserError, match="has no revision"):
        fetch_model(model(REPO, "f" * 40), home)


def test_a_repository_of_another_format_is_named(hub: FakeHub, home: Home) -> None:
    commit = hub.add("model", REPO, {"README.md": b"nothing"})
    with pytest.raises(UserError, match="has no files of format 'mistral'"):
        fetch_model(model(REPO, commit), home)


def test_a_branch_is_resolved_and_warned_about_every_time(
    hub: FakeHub, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    commit = hub.add("model", REPO, mistral_files())
    config = model(REPO, "main")
    for _ in range(2):
        caplog.clear()
        fetch_model(config, home)
        assert "'main' is not pinned" in caplog.text
        assert commit in caplog.text


def test_a_new_revision_replaces_what_changed_and_removes_what_is_gone(
    hub: FakeHub, home: Home
) -> None:
    index = {
        "consolidated.safetensors.index.json": b'{"weight_map": {"a": "consolidated.safetensors"}}'
    }
    config = model(REPO, hub.add("model", REPO, mistral_files() | index))
    second = {**mistral_files(), "params.json": b'{"dim": 128, "n_layers": 2}'}
    directory = fetch_model(config, home)
    assert "consolidated.safetensors.index.json" in names(directory)
    fetch_model(model(REPO, hub.add("model", REPO, second)), home)
    assert (directory / "params.json").read_bytes() == second["params.json"]
    assert len(hub.downloads("/_cdn/")) == 1  # the weights did not change: not downloaded again
    assert names(directory) == {"params.json", "consolidated.safetensors", "tekken.json"}


def test_refresh_asks_again_what_a_branch_stands_for(hub: FakeHub, home: Home) -> None:
    hub.add("model", REPO, mistral_files())
    config = model(REPO, "main")
    fetch_model(config, home)
    newer = hub.add("model", REPO, mistral_files(fill=b"\2"))
    manifest = read_manifest(fetch_model(config, home))
    assert manifest is not None
    assert manifest.revision != newer
    manifest = read_manifest(fetch_model(config, home, refresh=True))
    assert manifest is not None
    assert manifest.revision == newer


def test_offline_uses_what_is_whole_and_refuses_the_rest(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = model(REPO, hub.add("model", REPO, mistral_files()))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set and tiny is not whole"):
        fetch_model(config, home)
    write(home.models / "tiny", mistral_files())
    fetch_model(config, home)
    assert not hub.requests


def test_a_hub_in_trouble_is_asked_again_and_then_named(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    config = model(REPO, hub.add("model", REPO, mistral_files()))
    hub.fail("/api/models/", status=502, times=2)
    fetch_model(config, home)
    hub.fail("/api/models/", status=502, times=3)
    with pytest.raises(UserError, match="answers HTTP 502"):
        fetch_model(config, home, refresh=True)


def test_an_unreachable_hub_is_one_line(
    hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9 cannot be reached"):
        fetch_model(model(REPO, "a" * 40), home)


_CHILD = """
import sys
from pathlib import Path
from pixtrack.configs.paths import Home
from pixtrack.tasks.download import fetch_model
from tests.doubles.model_files import model
fetch_model(model(sys.argv[1], sys.argv[2]), Home(Path(sys.argv[3])))
"""


def test_two_processes_that_want_one_model_take_turns(hub: FakeHub, home: Home) -> None:
    files = mistral_files(size=6_000_000)
    commit = hub.add("model", REPO, files)
    command = [sys.executable, "-c", _CHILD, REPO, commit, str(home.root)]
    children = [subprocess.Popen(command) for _ in range(2)]
    assert [child.wait(240) for child in children] == [0, 0]
    directory = home.models / "tiny"
    assert (directory / "consolidated.safetensors").read_bytes() == files[
        "consolidated.safetensors"
    ]
    assert (
        len([s for s in hub.requests if s.path.endswith("resolve/" + commit + "/tekken.json")]) == 1
    )


def test_two_threads_take_turns_too(hub: FakeHub, home: Home) -> None:
    config = model(REPO, hub.add("model", REPO, mistral_files()))
    failures: list[BaseException] = []

    def fetch() -> None:
        try:
            fetch_model(config, home)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(hub.downloads("tekken.json")) == 1


@pytest.mark.parametrize(
    "reply", [b"{}", b"[]", b"null", b"{", b'{"id": 1, "siblings": 3}', b"<html>", b""]
)
def test_a_listing_that_is_none_is_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch, reply: bytes
) -> None:
    """A captive portal or a broken mirror answers anything at all."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(UserError) as refused:
            fetch_model(model(REPO, "a" * 40), home)
        server.shutdown()
    assert REPO in str(refused.value) and "\n" not in str(refused.value)
