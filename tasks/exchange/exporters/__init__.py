"""Formats of competitions' submission files: one row of EXPORTERS and one module each.

An exporter makes the entry of one answer; what all formats share (completeness, ids, writing) is in
tasks.exchange.exporting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pixtrack.tasks.exchange.exporters.evalai import evalai
from pixtrack.tasks.exchange.exporters.rrc import rrc

Exporter = Callable[[int, str], dict[str, Any]]
"""Takes a question id and its answer, and returns the entry of the file."""

EXPORTERS: dict[str, Exporter] = {"rrc": rrc, "evalai": evalai}
