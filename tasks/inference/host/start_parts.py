"""What an engine's start is made of, for `--timings`: what it says itself, and vLLM's own log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SAID = {
    "import_seconds": "imports",
    "config_seconds": "configuration",
    "load_seconds": "the engine core, from its start to its last word",
}
"""Seconds among the details of the `ready` event, and what they were spent on."""

LOGGED = {
    "weights read and placed": r"Model loading took .* and ([\d.]+) seconds",
    "profile, caches and warm-up": r"init engine \(.*?\) took ([\d.]+) s",
    "compilation within these": r"\(compilation: ([\d.]+) s",
    "CUDA graphs within these": r"Graph capturing finished in ([\d.]+) secs",
}
"""Parts of the engine core's start, as vLLM 0.24 to 0.32 log them."""

LAST_BYTES = 1 << 20


def parts_of_start(ready: Mapping[str, Any], log: Path) -> dict[str, float]:
    """Seconds by part, in order; what neither the engine nor its log says is left out.

    Args:
        ready: the details of the engine's `ready` event
        log: the engine's log; its last start counts
    """
    parts = {name: float(ready[key]) for key, name in SAID.items() if key in ready}
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LAST_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return parts
    text = text.rpartition("=== ")[2]
    for name, pattern in LOGGED.items():
        found = re.findall(pattern, text)
        if found:
            parts[name] = float(found[-1])
    return parts
