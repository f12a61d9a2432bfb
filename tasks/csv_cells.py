"""Makes CSV cells that a spreadsheet shows as text, so that `=HYPERLINK(…)` is not a formula."""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?%?", re.IGNORECASE)


def safe_cell(value: Any) -> Any:
    """The value for a CSV cell, with an apostrophe before text that a spreadsheet would evaluate.

    That is text that begins, perhaps after blanks, with one of `= + - @`, a tab or a carriage
    return, and is not simply a number. Source: OWASP, "CSV Injection".
    """
    if not isinstance(value, str):
        return value
    if value[:1] in ("\t", "\r"):
        return "'" + value
    stripped = value.lstrip()
    if stripped[:1] in ("=", "+", "-", "@") and not _NUMBER.fullmatch(stripped.rstrip()):
        return "'" + value
    return value
