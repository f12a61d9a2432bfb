"""What is printed, and how: data is text on a terminal, never markup and never a command to it.

Questions, answers, file names and messages of others may hold terminal escape codes, rich's markup
or characters that turn the reading direction. Everything that pixtrack prints for people goes
through a `terminal.DataConsole` or `say`, everything for programs through `json_text`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

_INVISIBLE = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},  # ␛ for ESC
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
    # What turns the reading direction.
    **dict.fromkeys(
        (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD
    ),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),  # lone surrogates cannot be encoded
}
_NOT_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with every character that would steer a terminal replaced by one that shows it."""
    return text.translate(_INVISIBLE)


def say(text: str, *, err: bool = False) -> None:
    """Prints lines of text, as they are, to stdout or stderr."""
    print(visible(text), file=sys.stderr if err else sys.stdout, flush=True)


def json_text(data: Any, indent: int | None = 2) -> str:
    """The data as JSON that may be read on a terminal too: what steers one is escaped."""
    text = json.dumps(data, ensure_ascii=False, indent=indent, default=str)
    return _NOT_IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


class VisibleFormatter(logging.Formatter):
    """Log lines in which data cannot steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, made visible."""
        return visible(super().format(record))


def accept_any_text() -> None:
    """Lets a terminal that is not UTF-8 show what it can, instead of ending a finished run."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def show_warnings() -> None:
    """Shows warnings and progress of every step on stderr, one line each, in any command."""
    logger = logging.getLogger("pixtrack")
    logging.getLogger("pixtrack.progress").setLevel(logging.INFO)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(VisibleFormatter("pixtrack: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
