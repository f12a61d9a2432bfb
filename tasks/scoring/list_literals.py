"""Answers that are lists: how ChartQAPro's script reads them out of strings.

Source: vis-nlp/ChartQAPro `evaluate_predictions.py` (fix_list_format, parse_to_list), which the
DAM-QA evaluator carries over.
"""

from __future__ import annotations

import re
from functools import lru_cache

from pixtrack.tasks.literals import LONGEST, read_list, read_literal

_BRACKETED = re.compile(r"^\[(.*)\]$")
_BARE_ITEM = re.compile(r"(?<!['\w])(\w[^,]*?)(?!['\w])")


def target_items(target: str) -> tuple[str, ...]:
    """The items of a gold: bare items of a bracketed list are put in quotes first.

    "[N.Y.C., D.C.]" has two items; where the quoting does not give a list, the gold is one item.
    """
    match = _BRACKETED.match(target.strip())
    if not match or len(target) > LONGEST:
        return items(target)
    corrected = "[" + _BARE_ITEM.sub(r"'\1'", match.group(1)) + "]"
    try:
        fixed = str(read_literal(corrected))
    except ValueError:  # NotALiteral, or a number that Python does not write out
        fixed = target
    return _list(fixed) or (target,)


def items(text: str) -> tuple[str, ...]:
    """The items of a Python list literal; an empty list, or anything else, is one item: itself."""
    return (len(text) <= LONGEST and _list(text)) or (text,)


@lru_cache(maxsize=1 << 12)
def _list(text: str) -> tuple[str, ...]:
    """The items, or () where it is no list."""
    if "[" not in text:
        return ()
    return tuple(item.strip(" '") for item in read_list(text) or ())
