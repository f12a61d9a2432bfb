"""A small server that speaks the hub's protocol, for downloads without the hub.

Serves model and dataset repositories given as {path: bytes or file}: repository info, tree,
paths-info, commits, refs, and resolve with ETag, X-Linked-*, X-Repo-Commit, Range and redirects of
LFS files to another host. Faults are injected by path:

    with FakeHub() as hub:
        commit = hub.add("dataset", "org/name", {"data/test-00000.parquet": b"..."})
        hub.fail("test-00000.parquet", cut_after=1000)          # the connection breaks, once
        hub.fail("/resolve/", status=429, retry_after=1)        # too many requests, once
        hub.fail("test-00000.parquet", corrupt=True, times=9)   # right length, wrong bytes
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pixtrack.tasks.transfer import download as transfer
from tests.doubles.hub_contents import Content, Fault, Repo, Seen, is_lfs, length, pieces
from tests.doubles.hub_protocol import HubHandler

__all__ = ["Content", "FakeHub", "Fault", "Repo", "Seen", "is_lfs", "length", "pieces"]


class FakeHub:
    """The server; a context manager. Token `hf_valid` opens gated repositories, others do not."""

    valid_token = "hf_valid"

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.requests: list[Seen] = []
        self.renamed: dict[str, str] = {}
        """Old repository name to new: asked by the old one, the hub redirects."""
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._hashes: dict[Any, tuple[str, str]] = {}
        hub = self

        class Handler(HubHandler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        # LFS files lie on another host, as the hub's do: a token must not follow there.
        self.cdn_url = f"http://localhost:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(
        self,
        kind: str,
        name: str,
        files: Mapping[str, Content],
        *,
        gated: bool = False,
        private: bool = False,
        branch: str = "main",
    ) -> str:
        """Commits `files` (the whole tree) to a `model` or `dataset` repo; the commit's hash."""
        assert kind in ("model", "dataset")
        repo = self.repos.setdefault((kind, name), Repo(kind, name))
        repo.gated, repo.private = gated, private
        parts = [f"{path}\0{self.sha256(content)}\n" for path, content in sorted(files.items())]
        seed = f"{name}\0{len(repo.commits)}\0{''.join(parts)}"
        commit = hashlib.sha1(seed.encode()).hexdigest()
        repo.commits[commit] = dict(files)
        repo.branches[branch] = commit
        return commit

    def drop_commit(self, kind: str, name: str, commit: str) -> None:
        """Removes a commit, as a rewritten history does."""
        repo = self.repos[(kind, name)]
        del repo.commits[commit]
        repo.branches = {b: c for b, c in repo.branches.items() if c != commit}

    def fail(self, path: str, **what: Any) -> Fault:
        """Injects a fault; see Fault."""
        fault = Fault(path, **what)
        with self._lock:
            self._faults.append(fault)
        return fault

    def downloads(self, path: str = "") -> list[Seen]:
        """The GET requests whose path contains `path`."""
        return [r for r in self.requests if r.method == "GET" and path in r.path]

    def take_fault(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, counted down."""
        with self._lock:
            for fault in self._faults:
                if fault.path in path and fault.method == method and fault.times > 0:
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def sha256(self, content: Content) -> str:
        """The content's sha256, in hex."""
        return self._hash(content)[0]

    def git_oid(self, content: Content) -> str:
        """The content's git blob hash, the ETag of files that are not in LFS."""
        return self._hash(content)[1]

    def _hash(self, content: Content) -> tuple[str, str]:
        key = content if isinstance(content, bytes) else str(content)
        if key not in self._hashes:
            size = length(content)
            sha, git = hashlib.sha256(), hashlib.sha1(f"blob {size}\0".encode())
            for piece in pieces(content, 0, size):
                sha.update(piece)
                git.update(piece)
            self._hashes[key] = (sha.hexdigest(), git.hexdigest())
        return self._hashes[key]


@contextmanager
def hub_for_downloads(patch: pytest.MonkeyPatch, hub_home: Path) -> Iterator[FakeHub]:
    """A hub that downloads go to, with the client's own files in `hub_home`, and no token."""
    patch.setenv("HF_HOME", str(hub_home))
    patch.setattr(transfer, "SPARE_BYTES", 0)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "PIXTRACK_MODEL_SOURCE"):
        patch.delenv(name, raising=False)
    patch.setattr("huggingface_hub.get_token", lambda: None)
    with FakeHub() as server:
        patch.setenv("HF_ENDPOINT", server.url)
        yield server
