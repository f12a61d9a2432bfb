"""The hub's settings in environment variables."""

from __future__ import annotations

import os
import re

COMMIT = re.compile(r"[0-9a-f]{40}")
"""The form of a full commit hash: a revision that cannot change."""


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def hub_endpoint() -> str:
    """The address of the hub, or of the mirror in HF_ENDPOINT, without a slash at the end."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
