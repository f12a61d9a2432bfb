"""Finds the Prefect server that a command uses, by Prefect's own settings, and checks it.

Prefect takes the address from PREFECT_API_URL, `.env`, `prefect.toml`, `pyproject.toml` or the
active profile, in that order. Where none of these names a server, pixtrack starts one of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from pixtrack.configs.addresses import shown, split_login, without_passwords
from pixtrack.configs.errors import UserError, unknown_name
from pixtrack.configs.paths import Home
from pixtrack.tasks.servers.deadline import within
from pixtrack.tasks.servers.login import CLIENT_VARIABLE
from pixtrack.tasks.servers.prefect_server import login_for

API_VARIABLE = "PREFECT_API_URL"
PROFILE_VARIABLE = "PREFECT_PROFILE"

CONNECT_SECONDS = 5.0
"""Time after which a server that does not answer counts as away."""

_ASK_SECONDS = 60.0

_ASK = """
import json
from prefect.settings import get_current_settings, load_profiles
settings, profiles = get_current_settings(), load_profiles()
secret = lambda value: value.get_secret_value() if value else ""
print(json.dumps({
    "api": settings.api.url or "", "login": secret(settings.api.auth_string),
    "key": secret(settings.api.key), "active": profiles.active_name, "profiles": sorted(profiles.names),
}))
"""
"""Run in a separate Python: Prefect reads its settings once a process, and this process's are set
afterwards."""


@dataclass(frozen=True)
class ChosenServer:
    """A Prefect server in the user's settings."""

    api: str
    """Its address, without a login."""
    named_by: str
    """The setting that names it, in words: `PREFECT_API_URL`, `Prefect's profile 'team'`."""
    login: str = ""
    """`user:password`; "" for a server without a login."""
    key: str = ""
    """The API key, for Prefect Cloud."""

    def set_in(self, environment: MutableMapping[str, str]) -> None:
        """Sets the variables that make Prefect's clients use the server; the address has no
        login.
        """
        environment[API_VARIABLE] = self.api
        if self.login:
            environment[CLIENT_VARIABLE] = self.login


def chosen_server(home: Home) -> ChosenServer | None:
    """The server that Prefect's settings name; None without one.

    Raises UserError for a profile that does not exist, settings that Prefect cannot read, and an
    invalid address.
    """
    if not any(_sources()):
        api, login, key, named_by = _from_variables()
    else:
        api, login, key, named_by = _asked()
    if not api:
        return None
    try:
        bare, login_within = split_login(api.rstrip("/"))
    except ValueError as error:
        raise UserError(f"{named_by}: {shown(api)!r} is no address ({error})") from None
    return ChosenServer(bare, named_by, login_within or login or login_for(home, bare), key)


def check(server: ChosenServer) -> None:
    """Raises UserError, within about 5 s, where the server does not answer or refuses the login."""
    where = f"Prefect's server {shown(server.api)} ({server.named_by})"
    try:
        status = within(CONNECT_SECONDS, lambda: _status(server))
    except Exception as error:  # any error of a client, a proxy or a name look-up
        reason = without_passwords(str(error) or type(error).__name__)
        raise UserError(f"{where} cannot be reached ({reason}): {_remedy(server)}") from None
    if status in (401, 403):
        raise UserError(
            f"{where} wants another login (HTTP {status}): set {CLIENT_VARIABLE}=user:password"
        )


def _remedy(server: ChosenServer) -> str:
    start = "start it (make deploy starts one on this machine)"
    if server.named_by == API_VARIABLE:
        return f"{start}, or unset {API_VARIABLE} to use pixtrack's own"
    return f"{start}, or choose another profile (prefect profile use ephemeral: pixtrack's own)"


def _status(server: ChosenServer) -> int:
    import httpx

    headers = {"Authorization": f"Bearer {server.key}"} if server.key and not server.login else {}
    user, _, password = server.login.partition(":")
    login = httpx.BasicAuth(user, password) if server.login else None
    address = f"{server.api}/admin/version"
    with httpx.stream(
        "GET", address, headers=headers, auth=login, timeout=CONNECT_SECONDS, follow_redirects=True
    ) as answer:
        return answer.status_code


def _from_variables() -> tuple[str, str, str, str]:
    names = (API_VARIABLE, CLIENT_VARIABLE, "PREFECT_API_KEY")
    api, login, key = (os.environ.get(name, "").strip() for name in names)
    return api, login, key, API_VARIABLE


def _asked() -> tuple[str, str, str, str]:
    """Asks Prefect for address, source, login and key in its settings."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _ASK],
            capture_output=True,
            text=True,
            timeout=_ASK_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"Prefect did not read its settings within {_ASK_SECONDS:g} s: try `prefect config view`"
        ) from None
    try:
        settings = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(
            f"Prefect cannot read its settings ({without_passwords(last)}): see `prefect config view`"
        ) from None
    profile = os.environ.get(PROFILE_VARIABLE) or settings["active"]
    if profile and profile not in settings["profiles"]:
        where = PROFILE_VARIABLE if os.environ.get(PROFILE_VARIABLE) else "Prefect's active profile"
        raise unknown_name(f"profile of Prefect's ({where})", profile, settings["profiles"])
    by_variable = os.environ.get(API_VARIABLE, "").strip() == settings["api"]
    named_by = API_VARIABLE if by_variable else f"Prefect's profile {profile!r} or settings file"
    return settings["api"], settings["login"], settings["key"], named_by


def _sources() -> Iterator[bool]:
    """For each place besides variables that Prefect reads settings from: whether it exists."""
    yield bool(os.environ.get(PROFILE_VARIABLE))
    if named := os.environ.get("PREFECT_PROFILES_PATH"):
        yield Path(named).exists()
    if chosen := os.environ.get("PREFECT_HOME"):
        yield Path(chosen, "profiles.toml").exists()
    else:
        try:
            yield Path("~/.prefect/profiles.toml").expanduser().exists()
        except RuntimeError:
            yield False  # the user has no home folder
    for name, sign in (
        (".env", "PREFECT_"),
        ("prefect.toml", ""),
        ("pyproject.toml", "tool.prefect"),
    ):
        try:
            yield sign in Path(name).read_text(encoding="utf-8", errors="ignore")
        except OSError:
            yield False
