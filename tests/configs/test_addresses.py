"""What of an address may be shown, and which addresses are this machine's own."""

from __future__ import annotations

import pytest

from pixtrack.configs.addresses import (
    host_of,
    is_loopback,
    openable,
    shown,
    split_login,
    without_passwords,
)


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("postgresql://me:se/cret@host/runs", "postgresql://me:***@host/runs"),
        (
            "postgresql://host/db?user=me&password=secret",
            "postgresql://host/db?user=me&password=***",
        ),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
        ("postgresql://me@host/runs", "postgresql://me@host/runs"),
        ("http://me:secret@host:5000/a@b", "http://me:***@host:5000/a@b"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("https://secret@host/api", "https://***@host/api"),
        ("https://me:@host/api", "https://me:***@host/api"),
        ("wss://me:secret@[::1]:4200/api", "wss://me:***@[::1]:4200/api"),
        ("https://host/v1?api_key=secret&n=1", "https://host/v1?api_key=***&n=1"),
        ("https://host/v1?key=secret#top", "https://host/v1?key=***#top"),
        ("HTTP://me:secret@host", "HTTP://me:***@host"),
        ("http://me:sec%40ret@host", "http://me:***@host"),
        ("socks5://me:secret@proxy:1080", "socks5://me:***@proxy:1080"),
        ("sqlite:////home/a:b@c/mlflow.db", "sqlite:////home/a:b@c/mlflow.db"),
        ("databricks", "databricks"),
        ("", ""),
    ],
)
def test_a_password_is_left_out_wherever_it_is(address: str, seen: str) -> None:
    assert shown(address) == seen


def test_our_own_links_keep_their_parameters() -> None:
    link = "http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=abc&compareRunsMode=CHART"
    assert shown(link) == link == without_passwords(link)


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("http://me:secret@host:5000/", "http://host:5000"),
        ("https://token@host/mlflow/", "https://host/mlflow"),
        ("http://host/a@b", "http://host/a@b"),
    ],
)
def test_a_link_has_no_login(address: str, link: str) -> None:
    assert openable(address) == link


@pytest.mark.parametrize(
    "said",
    [
        "Max retries exceeded with url: http://me:secret@host:5000/api (refused)",
        "cannot open 'postgresql+psycopg://me:secret@db/runs': no driver",
        "GET https://host/v1/models?api_key=secret failed, https://me:secret@b/",
        'proxy "socks5h://me:secret@proxy:1080" is unknown',
    ],
)
def test_a_message_of_somebody_elses_is_shown_without_the_passwords_in_it(said: str) -> None:
    clean = without_passwords(said)
    assert "secret" not in clean and "***" in clean
    assert clean.split()[0] == said.split()[0]


def test_a_login_is_taken_out_of_an_address() -> None:
    assert split_login("http://an%40nie:s3cr%2Ft@host:4200/api") == (
        "http://host:4200/api",
        "an@nie:s3cr/t",
    )
    assert split_login("http://host:4200/api") == ("http://host:4200/api", "")
    with pytest.raises(ValueError, match="IPv6"):
        split_login("http://me:pw@[bad/api")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "127.8.9.1"),
        *("::1", "[::1]", "::ffff:127.0.0.1"),
    ],
)
def test_loopback_hosts(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "host", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "::2", "128.0.0.1"],
)
def test_hosts_of_elsewhere(host: str) -> None:
    assert not is_loopback(host)


def test_the_host_of_an_address() -> None:
    assert host_of("http://me:pw@Host:1/a") == "host"
    assert host_of("http://[::1]:4200/api") == "::1"
    assert host_of("http://[bad") == host_of("sqlite:////a/b") == host_of("") == ""
