"""A server is started as a child: healthy, or a reason in one line; and it ends with its parent."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.servers import launcher
from pixtrack.tasks.servers.launcher import Launched, Server, answers, free_port, running
from pixtrack.tasks.servers.prefect_server import prefect_server
from pixtrack.tasks.servers.start_failures import why_it_ended
from pixtrack.tasks.tracking.connection import client
from pixtrack.tasks.tracking.server import mlflow_server
from tests.doubles.patience import ENOUGH_SECONDS, at_most


def program(tmp_path: Path, text: str, port: int = 9) -> Server:
    """A server of a few lines of Python."""
    health = f"http://127.0.0.1:{port}/health"
    return Server("Tiny", (sys.executable, "-c", text), os.environ, health, tmp_path / "log")


SERVE = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", {port}), Page).serve_forever()
"""


def test_it_serves_for_the_block_and_has_no_proxy_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    port = free_port()
    with running(program(tmp_path, SERVE.format(port=port), port)) as launched:
        assert answers(launched.server.health)
    assert not answers(launched.server.health)
    assert launched.process.poll() is not None


def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    port = free_port()
    starter = f"""
import sys; sys.path[:0] = {sys.path!r}
from tests.tasks.servers.test_launcher import SERVE, program
from pixtrack.tasks.servers.launcher import running
from pathlib import Path
with running(program(Path({str(tmp_path)!r}), SERVE.format(port={port}), {port})) as launched:
    print(launched.process.pid, flush=True); input()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", starter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    server = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    server.wait(ENOUGH_SECONDS)


def test_a_frozen_server_is_ended_too(tmp_path: Path) -> None:
    port = free_port()
    with running(program(tmp_path, SERVE.format(port=port), port)) as launched:
        launched.process.send_signal(signal.SIGSTOP)
        with at_most():
            launched.stop(seconds=0.5)
    assert launched.process.poll() == -signal.SIGKILL


def test_one_that_does_not_answer_is_given_up_in_time_with_its_last_words(tmp_path: Path) -> None:
    launched = Launched(
        program(tmp_path, "import time; print('looking for the disk', flush=True); time.sleep(60)")
    )
    with pytest.raises(UserError, match=r"within 1 s \(looking for the disk\): see .*log"):
        launched.wait_until_healthy(seconds=1)
    launched.stop()


def test_one_that_stands_still_is_given_up_and_one_that_works_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "STILL_SECONDS", 3.0)
    launched = Launched(program(tmp_path, "import time; time.sleep(600)"))
    launched.process.send_signal(signal.SIGSTOP)
    with pytest.raises(UserError, match="did not start: it has done nothing for 3 s"):
        launched.wait_until_healthy(seconds=120)
    launched.stop(0.1)
    busy = Launched(program(tmp_path, "while True: pass"))
    with pytest.raises(UserError, match="did not answer within 5 s"):
        busy.wait_until_healthy(seconds=5)
    busy.stop(0.1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_is_killed_as_it_starts_is_said_to_be(
    tmp_path: Path, number: signal.Signals
) -> None:
    launched = Launched(program(tmp_path, "import time; time.sleep(60)"))
    launched.process.send_signal(number)
    with pytest.raises(UserError, match=rf"did not start: it was killed \({number.name}\)"):
        launched.wait_until_healthy(seconds=60)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "it wrote nothing to its log"),
        ("starting\nall is lost\n\n", "all is lost"),
        ("x\nsqlite3.OperationalError: database or disk is full\nExiting.", "the disk is full"),
        ("OSError: [Errno 28] No space left on device: '/x'", "the disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded", "the disk is full"),
        ("[Errno 98] error while attempting to bind: address already in use", "its port is taken"),
        ("sqlite3.DatabaseError: file is not a database", "its database is damaged"),
        ("DatabaseError: database disk image is malformed", "its database is damaged"),
        ("alembic: Can't locate revision identified by 'abc'", "made by another version"),
        ("attempt to write a readonly database", "cannot be written"),
        ("httpx.ProxyError: 503 Service Unavailable", "a proxy stands between"),
        ("MemoryError", "the machine's memory is full"),
        (
            "Traceback\nValueError: no such thing\nERROR:    Application startup failed. Exiting.",
            "ValueError: no such thing",
        ),
    ],
)
def test_what_can_be_mended_is_called_by_its_name(log: str, said: str) -> None:
    reason = why_it_ended(log)
    assert said in reason and "\n" not in reason


def test_a_password_in_the_log_is_not_repeated_and_a_long_line_is_cut() -> None:
    reason = why_it_ended("OperationalError: postgresql://me:secret@db/runs " + "x" * 1000)
    assert "secret" not in reason and len(reason) < 400


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def refusal(server: Server) -> str:
    with pytest.raises(UserError) as refused, running(server):
        pass
    assert "\n" not in str(refused.value) and str(server.log) in str(refused.value)
    return str(refused.value)


@pytest.mark.server
def test_prefects_server_on_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    home = Home(small_disk)
    server = prefect_server(home, free_port(), tmp_path / "log", pages=False)
    assert "the disk is full" in refusal(server)


@pytest.mark.server
def test_prefects_server_with_a_damaged_database_a_taken_port_and_both_again(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    home.prefect.mkdir()
    (home.prefect / "prefect.db").write_bytes(b"not a database, " * 1000)
    port = free_port()
    damaged = refusal(prefect_server(home, port, tmp_path / "log", pages=False))
    assert "its database is damaged" in damaged
    shutil.rmtree(home.prefect)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        said = refusal(prefect_server(home, port, tmp_path / "log", pages=False))
        assert "its port is taken" in said  # not the damaged database of the log's earlier start


@pytest.mark.server
def test_mlflows_server_at_a_taken_port(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client(uri)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "its port is taken" in refusal(mlflow_server(uri, port, tmp_path / "log"))


@pytest.mark.server
def test_two_first_starts_in_one_data_home(tmp_path: Path) -> None:
    servers = [
        Launched(prefect_server(Home(tmp_path), free_port(), tmp_path / f"log{n}", pages=False))
        for n in range(2)
    ]
    try:
        for server in servers:
            server.wait_until_healthy(120)
    finally:
        for server in servers:
            server.stop()
