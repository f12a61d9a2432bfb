"""The login of the Prefect servers that pixtrack starts: generated once, kept in the data home.

Every client has to send it (HTTP basic authentication). Without it, any program on this machine,
and any page in a browser, could make the worker run commands.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from filelock import FileLock

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home

SERVER_VARIABLE = "PREFECT_SERVER_API_AUTH_STRING"
"""The variable with the login that a Prefect server requires, as `user:password`."""

CLIENT_VARIABLE = "PREFECT_API_AUTH_STRING"
"""The variable with the login that Prefect's clients send."""

_USER = "pixtrack"
_OWNER_ONLY = 0o600


def login_file(home: Home) -> Path:
    """The file with the login: one line, readable by its owner alone."""
    return home.prefect / "login"


def login(home: Home) -> str:
    """The login of this data home's Prefect servers, as `user:password`.

    It is generated at the first call; PREFECT_SERVER_API_AUTH_STRING overrides it. Raises UserError
    where the file belongs to another user, or holds no login.
    """
    if chosen := os.environ.get(SERVER_VARIABLE):
        return chosen
    file = login_file(home)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(file.with_name(".login.lock"), mode=_OWNER_ONLY):
            if not file.exists():
                _write(file, f"{_USER}:{secrets.token_urlsafe(24)}\n")
            elif file.stat().st_mode & 0o077:
                file.chmod(_OWNER_ONLY)
            kept = file.read_text(encoding="utf-8").strip()
    except PermissionError:
        raise UserError(
            f"{file}: the login of this data home's Prefect servers belongs to another user: set "
            "PIXTRACK_HOME to a folder of your own, or PREFECT_API_URL to a server that runs"
        ) from None
    if ":" not in kept:
        raise UserError(f"{file}: holds no login (user:password): remove it, and one is made anew")
    return kept


def _write(file: Path, text: str) -> None:
    """Writes a file, whole or not at all, that no other user can read at any moment."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "w") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    partial.replace(file)
