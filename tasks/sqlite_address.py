"""Addresses of SQLite database files, quoted so that folders may have any name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def without_stray_folder(address: str) -> Iterator[None]:
    """Removes, after the block, the empty folder that MLflow makes by the address as it is quoted.

    It makes the folder of a database before it opens it, and takes `a%3Fb` for a folder's name.
    """
    if not address.startswith(PREFIX):
        yield
        return
    quoted = Path(address.removeprefix(PREFIX)).parent
    new = quoted != sqlite_file(address).parent and not quoted.exists()
    yield
    if new:
        with suppress(OSError):
            os.removedirs(quoted)
