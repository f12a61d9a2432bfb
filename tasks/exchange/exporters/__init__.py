"""Files that a competition's server takes: one row of EXPORTERS and one module a format.

An exporter makes an entry of one answer; what all formats share (completeness, ids, writing) is in
tasks.exchange.exporting. Adding a format is adding a module and a row here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pixtrack.tasks.exchange.exporters.evalai import evalai
from pixtrack.tasks.exchange.exporters.rrc import rrc

Exporter = Callable[[int, str], dict[str, Any]]
"""The entry of a question's id and its answer."""

EXPORTERS: dict[str, Exporter] = {"rrc": rrc, "evalai": evalai}
