"""Which Prefect server is used is what Prefect says; one that cannot be used is one line, at once."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.servers.prefect_choice import ChosenServer, check, chosen_server
from tests.doubles.patience import at_most


@pytest.fixture
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in and a home folder, with nothing of Prefect's; the home folder."""
    names = ("URL", "KEY", "AUTH_STRING")
    for name in (*(f"PREFECT_API_{n}" for n in names), "PREFECT_PROFILE", "PREFECT_HOME"):
        monkeypatch.delenv(name, raising=False)
    user = tmp_path / "user"
    (user / ".prefect").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(user))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return user


def profiles(user: Path, active: str, **named: str) -> None:
    """Prefect's profiles: names and the addresses that they give."""
    lines = [f'active = "{active}"']
    for name, settings in named.items():
        lines += [f"[profiles.{name}]", settings]
    (user / ".prefect" / "profiles.toml").write_text("\n".join(lines))


def choice(tmp_path: Path) -> ChosenServer | None:
    return chosen_server(Home(tmp_path / "data"))


def test_nothing_configured_is_a_server_of_our_own_and_asks_nobody(
    tmp_path: Path, nothing_configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("asked"))
    assert choice(tmp_path) is None
    (tmp_path / "here" / "pyproject.toml").write_text("[project]\ndependencies = ['prefect']")
    assert choice(tmp_path) is None


def test_a_server_named_in_the_active_profile_is_used(
    tmp_path: Path, nothing_configured: Path
) -> None:
    team = 'PREFECT_API_URL = "http://team:4200/api"\nPREFECT_API_AUTH_STRING = "me:secret"'
    profiles(nothing_configured, "team", team=team)
    found = choice(tmp_path)
    assert found and (found.api, found.login) == ("http://team:4200/api", "me:secret")
    assert "'team'" in found.named_by


def test_a_server_named_in_an_inactive_profile_changes_nothing(
    tmp_path: Path, nothing_configured: Path
) -> None:
    profiles(
        nothing_configured, "mine",
        mine='PREFECT_LOGGING_LEVEL = "DEBUG"', team='PREFECT_API_URL = "http://team:4200/api"',
    )  # fmt: skip
    assert choice(tmp_path) is None


def test_a_profile_chosen_by_the_variable_is_used(
    tmp_path: Path, nothing_configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles(
        nothing_configured, "mine",
        mine='PREFECT_LOGGING_LEVEL = "DEBUG"', team='PREFECT_API_URL = "http://team:4200/api"',
    )  # fmt: skip
    monkeypatch.setenv("PREFECT_PROFILE", "team")
    found = choice(tmp_path)
    assert found and found.api == "http://team:4200/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://other:4200/api")
    found = choice(tmp_path)
    assert found and (found.api, found.named_by) == ("http://other:4200/api", "PREFECT_API_URL")


@pytest.mark.parametrize("where", ["variable", "file"])
def test_a_profile_that_does_not_exist_is_one_line_at_once(
    tmp_path: Path, nothing_configured: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "variable":
        monkeypatch.setenv("PREFECT_PROFILE", "nosuch")
    else:
        profiles(nothing_configured, "nosuch", mine='PREFECT_LOGGING_LEVEL = "DEBUG"')
    with pytest.raises(UserError, match=r"unknown profile .*'nosuch'.* Known: .*ephemeral"):
        choice(tmp_path)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".env", "PREFECT_API_URL=http://team:4200/api"),
        ("prefect.toml", '[api]\nurl = "http://team:4200/api"'),
        ("pyproject.toml", '[tool.prefect.api]\nurl = "http://team:4200/api"'),
    ],
)
def test_a_server_named_in_a_file_of_this_folder_is_used(
    tmp_path: Path, nothing_configured: Path, file: str, text: str
) -> None:
    (tmp_path / "here" / file).write_text(text)
    found = choice(tmp_path)
    assert found and found.api == "http://team:4200/api"


@pytest.mark.parametrize("text", ["[broken", 'active = "a"\n[profiles.a]\nPREFECT_API_URL = 1'])
def test_profiles_that_prefect_cannot_read_are_one_line(
    tmp_path: Path, nothing_configured: Path, text: str
) -> None:
    (nothing_configured / ".prefect" / "profiles.toml").write_text(text)
    with pytest.raises(UserError, match=r"Prefect cannot read its settings \(") as refused:
        choice(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_login_within_the_address_is_taken_out_of_it(
    tmp_path: Path, nothing_configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://me:s%40fe@team:4200/api/")
    found = choice(tmp_path)
    assert found
    environment: dict[str, str] = {}
    found.set_in(environment)
    assert environment == {
        "PREFECT_API_URL": "http://team:4200/api",
        "PREFECT_API_AUTH_STRING": "me:s@fe",
    }


class Double(BaseHTTPRequestHandler):
    """A double of Prefect's server that wants a login: `GET /api/admin/version`."""

    def do_GET(self) -> None:
        right = f"Basic {base64.b64encode(b'me:s@fe').decode()}"
        status = 200 if self.headers.get("Authorization") == right else 401
        self.send_response(status if self.path == "/api/admin/version" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def double() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Double)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}/api"
    server.shutdown()


def test_the_login_is_checked_before_any_work(
    tmp_path: Path, nothing_configured: Path, double: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://me:s%40fe@{double}")
    found = choice(tmp_path)
    assert found
    check(found)
    monkeypatch.setenv("PREFECT_API_URL", f"http://me:wrong@{double}")
    found = choice(tmp_path)
    assert found
    with pytest.raises(UserError, match=r"wants another login \(HTTP 401\)") as refused:
        check(found)
    assert "wrong" not in str(refused.value)


@pytest.mark.parametrize("kind", ["stopped", "silent", "dripping", "no name"])
def test_a_server_that_does_not_answer_is_one_line_without_the_password(
    tmp_path: Path, nothing_configured: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        host = "no-such-host.invalid" if kind == "no name" else "127.0.0.1"
        if kind in ("silent", "dripping"):
            listener.listen()
        if kind == "dripping":
            threading.Thread(target=drip, args=[listener], daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", f"http://me:secret@{host}:{port}/api")
        found = choice(tmp_path)
        assert found
        with (
            at_most(),
            pytest.raises(UserError, match=r"cannot be reached \(.*\): start it") as refused,
        ):
            check(found)
        said = str(refused.value)
        assert "secret" not in said and "\n" not in said and f"{host}:{port}" in said


def drip(listener: socket.socket) -> None:
    """An answer whose head never ends, a byte at a time."""
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nx-more: ")
        while True:
            time.sleep(0.5)
            try:
                connection.sendall(b"x")
            except OSError:
                return
