"""Reads Python literals from untrusted text.

Published evaluators read lists in golds and answers with `ast.literal_eval` or even `eval`. Here
nothing is evaluated, and a text that is too long or too deeply nested is not accepted: Python's
parser raises MemoryError or RecursionError for such texts, or takes seconds.
"""

from __future__ import annotations

import ast
import warnings

LONGEST = 5_000
"""Most characters of a text that is read. The longest gold that is a list has fewer than 300."""


class NotALiteral(ValueError):
    """The text is no Python literal, or one that is too large to be an answer."""


def read_literal(text: str) -> object:
    """The value of a Python literal (a number, a string, a list of them, …).

    Raises NotALiteral for any other text.
    """
    if len(text) > LONGEST:
        raise NotALiteral(f"{len(text)} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of unknown escapes in a model's text
            return ast.literal_eval(text)
    except Exception as error:  # SyntaxError, ValueError, MemoryError, RecursionError, …
        raise NotALiteral(type(error).__name__) from None


def read_list(text: str) -> tuple[str, ...] | None:
    """The items of a Python list literal, each as text; None where the text is no list."""
    try:
        value = read_literal(text)
        if not isinstance(value, list):
            return None
        return tuple(str(item) for item in value)
    except ValueError:  # NotALiteral, or a number with more digits than Python writes out
        return None
