"""Asks before something is removed for good."""

from __future__ import annotations

import sys

import typer

from pixtrack.configs.errors import UserError
from pixtrack.flows.plain_text import visible


def confirm(question: str, yes: bool) -> bool:
    """Whether the user agrees.

    Args:
        question: what is to be done, and to what
        yes: whether the user has agreed with the command (--yes)

    Raises:
        UserError: nobody is there to be asked (no terminal)
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError(f"{visible(question)} There is no terminal to ask on: add --yes to agree")
    return typer.confirm(visible(question), default=False)
