"""The row of a user's file, and the interface of a reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class FileRow:
    """One record with the file's own keys, or the reason why it cannot be read."""

    place: str
    """Where it stands, in the file's own terms: line 3, row 7, item 2."""
    values: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of file."""

    rows: Callable[[Path], Iterator[FileRow]]
    """The records in order, one at a time. Raises UserError where the file cannot be read at
    all."""
    keys: Callable[[Path], list[str]]
    """The keys that records have, reading no more than needed. Raises UserError like `rows`."""


def keys_of(rows: Iterator[FileRow]) -> list[str]:
    """The keys of all records, in order of first occurrence."""
    found: dict[str, None] = {}
    for row in rows:
        found |= dict.fromkeys(row.values)
    return list(found)


def parse_json(text: str | bytes) -> Any:
    """Parses JSON. Raises ValueError with a short reason, also for an object that repeats a key."""
    try:
        if isinstance(text, bytes):  # json.loads would accept UTF-16 as well
            text = text.decode("utf-8-sig")
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("not valid JSON: nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not valid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON ({error})") from None
    except ValueError as error:
        if "integer string conversion" in str(error):
            raise ValueError("a number of more than 4,300 digits") from None
        raise


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is given twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
"""Made once: one a line would take a tenth of the time that a file of questions takes."""
