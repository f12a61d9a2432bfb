"""A small server that answers as ModelScope's model API does: the file list, and files by query.

with FakeModelScope({"org/name": {"params.json": b"{}"}}) as server:
    monkeypatch.setenv("MODELSCOPE_DOMAIN", server.url)
"""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class FakeModelScope:
    """The server; a context manager. `wrong` are paths whose content is not what the list says."""

    def __init__(self, repos: dict[str, dict[str, bytes]]) -> None:
        self.repos = repos
        self.wrong: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        """Path with query, and Range header."""
        double = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Keeps the tests' output clean."""

            def do_GET(self) -> None:
                double.requests.append((self.path, self.headers.get("Range", "")))
                status, headers, body = double.answer(self.path, self.headers.get("Range", ""))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    def __enter__(self) -> FakeModelScope:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, wanted: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request."""
        url = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        files = (
            self.repos.get("/".join(parts[3:5])) if parts[:3] == ["api", "v1", "models"] else None
        )
        if files is None:
            return 404, {}, json.dumps({"Code": 10010205001, "Message": "not found"}).encode()
        if parts[5:] == ["repo", "files"]:
            entries = [
                {
                    "Name": name,
                    "Path": name,
                    "Type": "blob",
                    "Size": len(content),
                    "Sha256": hashlib.sha256(content).hexdigest(),
                    "IsLFS": len(content) > 10_000,
                    "Revision": "0" * 40,
                }
                for name, content in files.items()
            ]
            entries.append({"Name": "assets", "Path": "assets", "Type": "tree", "Size": 0})
            body = json.dumps({"Code": 200, "Data": {"Files": entries}, "Success": True}).encode()
            return 200, {"Content-Type": "application/json"}, body
        content = files.get(query.get("FilePath", ""))
        if content is None:
            return 404, {}, b"{}"
        if query["FilePath"] in self.wrong:
            content = bytes(byte ^ 1 for byte in content)
        if wanted:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            return 206, headers, content[start:]
        return 200, {}, content
