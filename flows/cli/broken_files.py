"""How a list reports configuration files that cannot be read; it lists the others all the same."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from pixtrack.configs.errors import UserError
from pixtrack.flows.plain_text import say


def report_broken(broken: Sequence[UserError]) -> None:
    """One line a broken file on stderr, with the remedy; the command then fails."""
    for error in broken:
        say(f"pixtrack: {error}: correct it, or move the file away", err=True)
    if broken:
        raise typer.Exit(UserError.exit_code)
