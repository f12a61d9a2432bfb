"""Loopback never goes through a proxy, whatever the variables say; tried with a real blackhole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pixtrack.tasks.servers.proxies import keep_loopback_direct
from tests.doubles.blackhole import Blackhole


@pytest.fixture
def blackhole() -> Iterator[Blackhole]:
    proxy = Blackhole()
    yield proxy
    proxy.close()


@pytest.fixture
def page() -> Iterator[int]:
    """A server of this machine's on all its loopback addresses; its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


CLIENTS = {
    "httpx": "import httpx; httpx.get(url, timeout=60).raise_for_status()",
    "httpx.AsyncClient": (
        "import asyncio, httpx\n"
        "async def get():\n"
        "    async with httpx.AsyncClient() as client: (await client.get(url)).raise_for_status()\n"
        "asyncio.run(get())"
    ),
    "requests": "import requests; requests.get(url, timeout=60).raise_for_status()",
    "urllib": "import urllib.request; urllib.request.urlopen(url, timeout=60).read()",
    "Prefect": (
        "import os; os.environ['PREFECT_API_URL'] = url\n"
        "from prefect.client.orchestration import get_client\n"
        "assert get_client(sync_client=True).api_healthcheck() is None"
    ),
    "MLflow": (
        "from mlflow.utils.rest_utils import http_request, MlflowHostCreds\n"
        "assert http_request(MlflowHostCreds(url), '/x', 'GET', timeout=60).status_code == 200"
    ),
    "Hugging Face's hub": (
        "from huggingface_hub.utils import get_session; get_session().get(url, timeout=60)"
    ),
    "a child's child": (
        "import subprocess, sys\n"
        "code = f'import httpx; httpx.get({url!r}, timeout=60).raise_for_status()'\n"
        "subprocess.run([sys.executable, '-c', code], check=True)"
    ),
}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_of_ours_asks_a_proxy_for_this_machine(
    client: str, host: str, blackhole: Blackhole, page: int
) -> None:
    environment = without_proxies()
    environment["HTTP_PROXY"] = environment["https_proxy"] = f"http://{blackhole.address}"
    environment["ALL_PROXY"] = f"socks5://{blackhole.address}"
    environment["NO_PROXY"] = "example.com,fd00::/8"
    lines = keep_loopback_direct(environment)
    assert len(lines) in (1, 2)  # socks5 counts where socksio is installed
    code = f"url = 'http://{host}:{page}'\n{CLIENTS[client]}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert blackhole.taken == []


def without_proxies() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}


def test_the_blackhole_is_one(blackhole: Blackhole, page: int) -> None:
    environment = {**without_proxies(), "HTTP_PROXY": f"http://{blackhole.address}"}
    code = f"import httpx; httpx.get('http://127.0.0.1:{page}', timeout=1)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode != 0 and len(blackhole.taken) == 1


@pytest.mark.parametrize(
    ("given", "kept", "said"),
    [
        ("example.com, .corp", "example.com,.corp", []),
        ("10.0.0.0/8,::1,*.corp", "10.0.0.0/8,::1,*.corp", []),
        ("fd00::/8,corp", "corp", ["NO_PROXY: 'fd00::/8' is not used: it cannot be read"]),
        ("fe80::/10,[::1]", "", ["'fe80::/10' is not used", "'[::1]' is not used"]),
        ("", "", []),
    ],
)
def test_exceptions_that_clients_can_read_stay_and_the_others_are_named(
    given: str, kept: str, said: list[str]
) -> None:
    environment = {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": given}
    lines = keep_loopback_direct(environment)
    assert len(lines) == len(said)
    assert all(words in line for words, line in zip(said, lines, strict=True))
    entries = environment["NO_PROXY"].split(",")
    wanted = [entry for entry in kept.split(",") if entry]
    assert entries[: len(wanted)] == wanted
    assert {"localhost", ".localhost", "127.0.0.1", "::1"} <= set(entries)
    assert environment["no_proxy"] == environment["NO_PROXY"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALL_PROXY", "socks4://me:secret@proxy:1080", "ALL_PROXY=socks4://me:***@proxy:1080"),
        ("https_proxy", "htp://me:secret@proxy", "https_proxy=htp://me:***@proxy is not used"),
        ("HTTP_PROXY", "http://me:secret@proxy:port", "HTTP_PROXY=http://me:***@proxy:port"),
    ],
)
def test_a_proxy_that_clients_cannot_use_is_dropped_with_a_line(
    name: str, value: str, said: str
) -> None:
    environment = {name: value, "HTTPS_PROXY": "http://proxy:3128"}
    (line,) = keep_loopback_direct(environment)
    assert line.startswith(said) and "secret" not in line and "\n" not in line
    assert name not in environment and environment["HTTPS_PROXY"] == "http://proxy:3128"


def test_servers_at_other_addresses_of_this_machine_are_reached_directly_too() -> None:
    environment = {
        "http_proxy": "proxy:3128",
        "MLFLOW_TRACKING_URI": "http://127.0.0.7:5000",
        "OPENAI_BASE_URL": "https://models.example.com/v1",
    }
    assert keep_loopback_direct(environment) == []
    assert "127.0.0.7" in environment["NO_PROXY"] and "models" not in environment["NO_PROXY"]


@pytest.mark.parametrize("environment", [{}, {"NO_PROXY": "fd00::/8"}, {"HTTP_PROXY": ""}])
def test_without_a_proxy_nothing_is_touched(environment: dict[str, str]) -> None:
    before = dict(environment)
    assert keep_loopback_direct(environment) == [] and environment == before


def test_exceptions_for_everything_stay_so_and_nothing_is_added_twice() -> None:
    environment = {"HTTP_PROXY": "http://proxy", "no_proxy": "*"}
    keep_loopback_direct(environment)
    assert environment["NO_PROXY"] == "*"
    again = {"HTTP_PROXY": "http://proxy", "NO_PROXY": "localhost"}
    keep_loopback_direct(again)
    once = dict(again)
    assert keep_loopback_direct(again) == [] and again == once
