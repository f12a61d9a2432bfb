"""Reports configuration files that cannot be read, after a list of those that can."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from pixtrack.configs.errors import UserError
from pixtrack.flows.plain_text import say


def report_broken(broken: Sequence[UserError]) -> None:
    """Prints one line for each broken file to stderr, with the remedy, and ends the command with
    2.
    """
    for error in broken:
        say(f"pixtrack: {error}: correct it, or move the file away", err=True)
    if broken:
        raise typer.Exit(UserError.exit_code)
