"""The version of pixtrack that is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


def version() -> str:
    """The installed version, or `0+unknown` for a copy of the files that nobody has installed."""
    try:
        return installed_version("pixtrack")
    except PackageNotFoundError:
        return "0+unknown"
