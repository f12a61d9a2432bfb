"""Addresses of SQLite database files, quoted so that folders may have any name."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

PREFIX = "sqlite:///"
# What SQLAlchemy takes for the beginning of options, a fragment, or a quoted character.
_QUOTED = {"%": "%25", "?": "%3F", "#": "%23"}


def sqlite_address(file: Path) -> str:
    """The file's address in the form for MLflow and SQLAlchemy."""
    return PREFIX + "".join(_QUOTED.get(character, character) for character in str(file))


def sqlite_file(address: str) -> Path:
    """The file that the address names; the inverse of `sqlite_address`."""
    return Path(unquote(address.removeprefix(PREFIX).partition("?")[0]))
