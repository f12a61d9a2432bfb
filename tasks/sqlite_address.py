"""A database file's address, quoted once: folders may be called by any name."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

PREFIX = "sqlite:///"
# What SQLAlchemy takes for the beginning of options, a fragment, or a quoted character.
_QUOTED = {"%": "%25", "?": "%3F", "#": "%23"}


def sqlite_address(file: Path) -> str:
    """The file's address as MLflow and SQLAlchemy take it."""
    return PREFIX + "".join(_QUOTED.get(character, character) for character in str(file))


def sqlite_file(address: str) -> Path:
    """The file that the address names; the inverse of `sqlite_address`."""
    return Path(unquote(address.removeprefix(PREFIX).partition("?")[0]))
