"""The login of our Prefect servers: one a data home, seen by nobody else."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.tasks.owners import owner
from pixtrack.tasks.servers.login import login, login_file
from pixtrack.tasks.servers.prefect_server import login_for, note_deployed, prefect_server


@pytest.fixture(autouse=True)
def no_login_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)


def permissions(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    made = login(home)
    user, _, password = made.partition(":")
    assert user and len(password) >= 24
    assert permissions(login_file(home)) == 0o600
    assert login(home) == made != login(Home(tmp_path / "other"))


def test_permissions_that_were_widened_are_narrowed(tmp_path: Path) -> None:
    made = login(Home(tmp_path))
    login_file(Home(tmp_path)).chmod(0o644)
    assert login(Home(tmp_path)) == made
    assert permissions(login_file(Home(tmp_path))) == 0o600


def test_many_at_once_get_the_same(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(login, [Home(tmp_path)] * 8))) == 1


def test_a_file_without_a_login_is_named(tmp_path: Path) -> None:
    file = login_file(Home(tmp_path))
    file.parent.mkdir(parents=True)
    file.write_text("")
    with pytest.raises(UserError, match="holds no login"):
        login(Home(tmp_path))


def test_the_users_own_login_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "me:mine")
    assert login(Home(tmp_path)) == "me:mine"


def test_no_process_list_shows_it(tmp_path: Path) -> None:
    server = prefect_server(Home(tmp_path), 4200, tmp_path / "log", pages=True)
    password = login(Home(tmp_path)).partition(":")[2]
    assert password not in " ".join(server.command)


def test_it_is_sent_to_our_own_running_server_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    api = "http://127.0.0.1:4200/api"
    assert login_for(home, api) == ""
    note_deployed(home, api, os.getpid())
    assert login_for(home, api) == login_for(home, f"{api}/") == login(home)
    assert login_for(home, "http://127.0.0.1:4201/api") == ""
    ended = (home.prefect / "server.json").read_text().replace(owner(), "host boot 1 1")
    (home.prefect / "server.json").write_text(ended.replace("host", owner().split()[0]))
    assert login_for(home, api) == ""
    (home.prefect / "server.json").write_text("{damaged")
    assert login_for(home, api) == ""
