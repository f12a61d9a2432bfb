"""Finds in a server's log why it did not start."""

from __future__ import annotations

import re
import signal

from pixtrack.configs.addresses import without_passwords

_REASONS: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|database or disk is full|Disk quota exceeded",
        "the disk is full: make room, or set PIXTRACK_HOME to a folder with room",
    ),
    (
        r"address already in use|Errno 98\b|Port \d+ is already in use",
        "its port is taken: end what listens there, or name another port",
    ),
    (
        r"file is not a database|database disk image is malformed|malformed database schema",
        "its database is damaged: move the file away, and a new one is made",
    ),
    (
        r"Can't locate revision|Detected out-of-date database schema|version mismatch",
        "its database was made by another version: install that one, or move the file away",
    ),
    (
        r"readonly database|unable to open database file|Permission denied|Read-only file system",
        "its folder or database cannot be written",
    ),
    (
        r"ProxyError|proxy\b.*(refused|fail|timed? ?out)",
        "a proxy stands between: put 127.0.0.1,localhost into NO_PROXY",
    ),
    (r"MemoryError|Cannot allocate memory|Killed", "the machine's memory is full"),
)
"""Texts in a log and the reason to report for each; the first that is found counts."""

_AN_ERROR = re.compile(
    r"^[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt)\b.*|^\w*error: ", re.IGNORECASE
)
"""The last line of a traceback, or the error line of a command."""

_NO_REASON = re.compile(r"Application startup failed|^Exiting|^Aborted!|^Server stopped!")
"""Last lines of servers that do not say a reason."""

_WIDTH = 300


def killed_by(exit_code: int) -> str:
    """That a signal from outside ended it, in a few words; "" where it ended by itself."""
    if exit_code >= 0:
        return ""
    name = signal.Signals(-exit_code).name
    often = ", as a machine does whose memory is full" if name == "SIGKILL" else ""
    return f"it was killed ({name}){often}"


def why_it_ended(log: str) -> str:
    """The reason in one line: a known one, else the last error in the log, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    lines = [line for line in lines if not _NO_REASON.search(line)] or lines
    if not lines:
        return "it wrote nothing to its log"
    for pattern, reason in _REASONS:
        found = [line for line in lines if re.search(pattern, line, re.IGNORECASE)]
        if found:
            return f"{reason} ({_shortened(found[-1])})"
    errors = [line for line in lines if _AN_ERROR.match(line)]
    return _shortened((errors or lines)[-1])


def _shortened(line: str) -> str:
    line = without_passwords(" ".join(line.split()))
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…"
