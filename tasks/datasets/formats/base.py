"""What the row formats share: reading a value as text, a label, a list or options."""

from __future__ import annotations

import json
import math
from typing import Any

from pixtrack.tasks.literals import LONGEST, read_list


class BadField(ValueError):
    """A record's field cannot be used; the message says which and why."""


def listed(value: Any) -> list[Any]:
    """The items of a list; a single value as a list of one; an empty list for None."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def items_of(value: Any) -> list[Any]:
    """The items of a string that is the text of a Python list; else the value as the only item."""
    items = read_list(value) if isinstance(value, str) and value.startswith("[") else None
    return [value] if items is None else list(items)


def options_of(value: Any) -> tuple[str, ...]:
    """The options of a list, of the text of a list, or of a mapping of letters to texts.

    Nothing and a blank text are no options. Raises BadField for what is none of these: a text that
    is no list would be asked as the only option.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return ()
    if isinstance(value, dict):
        value = [value[letter] for letter in sorted(value, key=str)]
    parts = _list_in(value) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise BadField(
            f"the options are {shown(value)[:80]!r}: expected a list, the text of one, or an object "
            "of letters and texts"
        )
    return tuple(text_of(option, "option") for option in parts)


def _list_in(text: str) -> Any:
    """The list that is written there in Python's words or JSON's; else None."""
    found = read_list(text)
    if found is not None or len(text) > LONGEST:
        return found
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def letter(position: int) -> str:
    """The letter of the option at that position, from 0: A, B, C, …"""
    return chr(ord("A") + position)


def text_of(value: Any, what: str) -> str:
    """A string unchanged, a number as Python writes it. Raises BadField for anything else."""
    if type(value) is str and value.isascii():  # nearly all values of nearly all files
        return value
    if value is None:
        raise BadField(f"the {what} is missing")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadField(f"the {what} is {value}, not a value")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadField(f"the {what} is {shown(value)!r}: expected text or a number")
    text = str(value)
    if not encodes(text):
        raise BadField(f"the {what} is not valid Unicode: {shown(text)!r}")
    return text


def label_of(value: Any, what: str) -> str:
    """An optional field as one string: "" for None and NaN, a list's items joined by commas."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(text_of(part, what) for part in value if part is not None)
    return text_of(value, what)


def shown(value: Any) -> str:
    """A short text to recognise a bad value by in a message, which can be stored as UTF-8."""
    text = "" if value is None else str(value)
    return text.encode("utf-8", "replace").decode()[:200]


def encodes(text: str) -> bool:
    """Whether the text can be stored as UTF-8; one with a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True
