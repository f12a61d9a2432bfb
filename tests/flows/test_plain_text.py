"""Data is text on a terminal: no markup, no control characters, in any encoding."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

import pytest
from rich.table import Table
from rich.text import Text

from pixtrack.flows.plain_text import VisibleFormatter, json_text, visible
from pixtrack.flows.terminal import DataConsole

HOSTILE = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb",
    "\x08\x08\x7f",
    "\u202eabc",
    "\u2066x\u2069",
    "\x00",
    "\ud800",
]
STEERING = {chr(code) for code in (*range(9), *range(11, 32), *range(0x7F, 0xA0), 0x202E, 0x2066)}


@pytest.mark.parametrize("text", HOSTILE)
def test_what_steers_a_terminal_is_shown_instead(text: str) -> None:
    assert not STEERING & set(visible(text))
    record = logging.LogRecord("pixtrack", logging.INFO, "", 0, "%s", (text,), None)
    assert not STEERING & set(VisibleFormatter().format(record))


@pytest.mark.parametrize(
    "text", [*HOSTILE, "[/b]", "[bold]x", "[link=http://x]y[/link]", ":smile:"]
)
def test_a_console_shows_data_as_it_is_wherever_it_stands(text: str) -> None:
    out = io.StringIO()
    console = DataConsole(file=out, width=200)
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    table.add_row(Text(text))
    console.print(table)
    console.print(text)
    console.print(Text(text), style="bold")
    shown = out.getvalue()
    assert not STEERING & set(shown)
    if text.isprintable():
        assert shown.count(text) == 6


@pytest.mark.parametrize("text", HOSTILE)
def test_json_is_the_same_data_and_steers_nothing(text: str) -> None:
    written = json_text({"text": text})
    assert json.loads(written) == {"text": text}
    assert not STEERING & set(written)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_of_another_encoding_ends_no_command(encoding: str) -> None:
    program = (
        "from pixtrack.flows.plain_text import accept_any_text, say; accept_any_text(); "
        "say('± → 日本 é'); say('± → 日本', err=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONIOENCODING": encoding, "PATH": "", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
