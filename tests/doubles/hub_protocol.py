"""The hub's protocol over HTTP: each request to its answer."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.doubles.hub_contents import Content, Fault, Repo, Seen, is_lfs, length, pieces

if TYPE_CHECKING:
    from tests.doubles.hub import FakeHub


class HubHandler(BaseHTTPRequestHandler):
    """Answers one connection; `hub` is set by the server."""

    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._fault: Fault | None = None
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.hub.requests.append(
            Seen(
                self.command,
                path,
                self.headers.get("Host", ""),
                token,
                self.headers.get("Range", ""),
            )
        )
        fault = self.hub.take_fault(self.command, path)
        if fault is not None and fault.status:
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            self._error(fault.status, "", "injected fault", headers)
            return
        self._fault = fault
        for old, new in self.hub.renamed.items():
            if f"/{old}/" in f"{path}/":
                location = f"{self.hub.url}{self.path.replace(old, new, 1)}"
                self._head(307, {"Location": location, "Content-Length": "0"})
                return
        try:
            self._route(path, parse_qs(url.query), body, token)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _route(self, path: str, query: dict[str, list[str]], body: bytes, token: str) -> None:
        parts = path.strip("/").split("/")
        if parts[0] == "_cdn":
            self._cdn(parts[1])
        elif parts[:2] == ["api", "whoami-v2"]:
            if token:
                self._json({"type": "user", "name": "tester", "auth": {"type": "access_token"}})
            else:
                self._error(401, "", "Invalid username or password.")
        elif parts[0] == "api" and parts[1] in ("models", "datasets") and len(parts) >= 4:
            repo = self._repo(parts[1].removesuffix("s"), "/".join(parts[2:4]), token)
            if repo is not None:
                self._api(repo, parts[4:], query, body)
        elif "resolve" in parts:
            at = parts.index("resolve")
            kind = "dataset" if parts[0] == "datasets" else "model"
            name = "/".join(parts[at - 2 : at])
            repo = self._repo(kind, name, token, gate=True)
            if repo is not None:
                self._resolve(repo, parts[at + 1], "/".join(parts[at + 2 :]))
        else:
            self._error(404, "", "Not found")

    def _repo(self, kind: str, name: str, token: str, gate: bool = False) -> Repo | None:
        """The repository if this token may see it (`gate`: may read its files)."""
        repo = self.hub.repos.get((kind, name))
        if repo is None or (repo.private and token != self.hub.valid_token):
            code = 404 if token else 401
            self._error(code, "RepoNotFound", "Repository not found")
            return None
        if gate and repo.gated and token != self.hub.valid_token:
            message = f"Access to {kind} {name} is restricted."
            self._error(403 if token else 401, "GatedRepo", message)
            return None
        return repo

    def _commit(self, repo: Repo, revision: str) -> str | None:
        """Full hashes and branches only, as on the hub."""
        commit = repo.branches.get(revision, revision)
        if commit not in repo.commits:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return commit

    def _api(self, repo: Repo, rest: list[str], query: dict[str, list[str]], body: bytes) -> None:
        verb = rest[0] if rest else "revision"
        if verb == "refs":
            branches = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit}
                for name, commit in repo.branches.items()
            ]
            self._json({"branches": branches, "tags": [], "converts": []})
            return
        commit = self._commit(repo, rest[1] if len(rest) > 1 else "main")
        if commit is None:
            return
        files = repo.commits[commit]
        if verb == "revision":
            self._json(self._info(repo, commit, files))
        elif verb == "commits":
            order = list(repo.commits)
            known = order[: order.index(commit) + 1][::-1]
            self._json(
                [
                    {
                        "id": one,
                        "title": "Upload",
                        "message": "",
                        "authors": [],
                        "date": "2024-09-01T00:00:00.000Z",
                    }
                    for one in known
                ]
            )
        elif verb == "tree":
            self._json(
                self._tree(
                    files, "/".join(rest[2:]), "true" in query.get("recursive", ["f"])[0].lower()
                )
            )
        elif verb == "paths-info":
            self._json([self._entry(p, files[p]) for p in self._paths(body) if p in files])
        else:
            self._error(404, "", "Not found")

    def _paths(self, body: bytes) -> list[str]:
        if "json" in self.headers.get("Content-Type", ""):
            paths = json.loads(body)["paths"]
            return [paths] if isinstance(paths, str) else list(paths)
        return parse_qs(body.decode()).get("paths", [])

    def _info(self, repo: Repo, commit: str, files: dict[str, Content]) -> dict[str, Any]:
        siblings = []
        for path, content in files.items():
            entry = self._entry(path, content)
            sibling = {"rfilename": path, "size": entry["size"], "blobId": entry["oid"]}
            if "lfs" in entry:
                sibling["lfs"] = {**entry["lfs"], "sha256": entry["lfs"]["oid"]}
            siblings.append(sibling)
        return {
            "_id": commit[:24],
            "id": repo.name,
            "modelId": repo.name,
            "author": repo.name.split("/")[0],
            "sha": commit,
            "lastModified": "2024-09-01T00:00:00.000Z",
            "createdAt": "2024-09-01T00:00:00.000Z",
            "private": repo.private,
            "gated": "auto" if repo.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": siblings,
            "cardData": _card_data(files.get("README.md", b"")),
        }

    def _entry(self, path: str, content: Content) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "type": "file",
            "oid": self.hub.git_oid(content),
            "size": length(content),
            "path": path,
        }
        if is_lfs(path):
            entry["lfs"] = {
                "oid": self.hub.sha256(content),
                "size": length(content),
                "pointerSize": 134,
            }
        return entry

    def _tree(
        self, files: dict[str, Content], folder: str, recursive: bool
    ) -> list[dict[str, Any]]:
        prefix = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, content in sorted(files.items()):
            if not path.startswith(prefix):
                continue
            steps = path[len(prefix) :].split("/")
            for depth in range(1, len(steps) if recursive else min(2, len(steps))):
                parent = prefix + "/".join(steps[:depth])
                oid = hashlib.sha1(parent.encode()).hexdigest()
                entries[parent] = {"type": "directory", "oid": oid, "size": 0, "path": parent}
            if recursive or len(steps) == 1:
                entries[path] = self._entry(path, content)
        return list(entries.values())

    def _resolve(self, repo: Repo, revision: str, path: str) -> None:
        commit = self._commit(repo, revision)
        if commit is None:
            return
        content = repo.commits[commit].get(path)
        if content is None:
            self._error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
            return
        if not is_lfs(path):
            headers = {"X-Repo-Commit": commit, "ETag": f'"{self.hub.git_oid(content)}"'}
            self._send(content, headers)
            return
        sha256 = self.hub.sha256(content)
        location = f"{self.hub.cdn_url}/_cdn/{sha256}/{quote(path)}?signature=secret-signature"
        self._head(
            302,
            {
                "Location": location,
                "X-Repo-Commit": commit,
                "X-Linked-Etag": f'"{sha256}"',
                "X-Linked-Size": str(length(content)),
                "ETag": f'"{sha256}"',
                "Content-Length": "0",
            },
        )

    def _cdn(self, sha256: str) -> None:
        if self.headers.get("Authorization"):
            self._error(400, "", "Only one auth mechanism allowed")
            return
        for repo in self.hub.repos.values():
            for files in repo.commits.values():
                for content in files.values():
                    if self.hub.sha256(content) == sha256:
                        self._send(content, {"ETag": f'"{sha256}"'})
                        return
        self._error(404, "", "No such object")

    def _send(self, content: Content, headers: dict[str, str]) -> None:
        size = length(content)
        start, end, status = 0, size, 200
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first) if first else size - int(last)
            end = min(size, int(last) + 1) if first and last else size
            if start >= size:
                self._error(416, "", "Range not satisfiable", {"Content-Range": f"bytes */{size}"})
                return
            status = 206
            headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}
        self._head(
            status, {**headers, "Content-Length": str(end - start), "Accept-Ranges": "bytes"}
        )
        if self.command == "HEAD":
            return
        fault, sent = self._fault, 0
        for piece in pieces(content, start, end):
            if fault is not None and fault.corrupt:
                piece = bytes(byte ^ 0x55 for byte in piece)
            if fault is not None and fault.cut_after is not None:
                piece = piece[: fault.cut_after - sent]
            self.wfile.write(piece)
            sent += len(piece)
            if fault is not None and fault.cut_after is not None and sent >= fault.cut_after:
                self.wfile.flush()
                self.connection.shutdown(2)
                self.close_connection = True
                return

    def _json(self, data: Any) -> None:
        body = json.dumps(data).encode()
        self._head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        body = json.dumps({"error": message}).encode()
        extra = {"X-Error-Code": code, "X-Error-Message": message} if code else {}
        self._head(
            status,
            {
                **extra,
                **(headers or {}),
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
            },
        )
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _card_data(readme: Content) -> dict[str, str]:
    """The keys at the head of a repository's README.md, between lines of `---`."""
    text = readme.decode() if isinstance(readme, bytes) else ""
    head = text.split("\n---")[0].splitlines()[1:] if text.startswith("---\n") else []
    pairs = (line.partition(": ") for line in head)
    return {key: value for key, _, value in pairs if value}
