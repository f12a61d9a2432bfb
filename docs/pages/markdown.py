"""Pieces of Markdown in which data stays data."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


def text(value: object) -> str:
    """The value as it reads, in a line of Markdown: nothing in it is markup."""
    shown = html.escape(re.sub(r"\s+", " ", str(value)), quote=False)
    for mark in "\\`*_[]|#~":
        shown = shown.replace(mark, f"\\{mark}")
    return shown


def ours(value: object) -> str:
    """Our own words, in which `backticks` mark code as they do in docstrings and descriptions."""
    parts = str(value).split("`")
    if len(parts) % 2 == 0:
        return text(value)
    return "".join(code(part) if number % 2 else text(part) for number, part in enumerate(parts))


def code(value: object) -> str:
    """The value as code, whatever it holds; "" for nothing."""
    shown = html.escape(" ".join(str(value).split()), quote=False).replace("|", "&#124;")
    return f"<code>{shown}</code>" if shown else ""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown already."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def sentence(value: str) -> str:
    """A text with a capital and a full stop, for tables of descriptions."""
    value = value.strip()
    return value[:1].upper() + value[1:] + ("" if not value or value[-1] in ".!?" else ".")
