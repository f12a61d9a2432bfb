"""Accelerator cards, and the processes that hold their memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import psutil

Vendor = Literal["nvidia", "iluvatar"]

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class CardProcess:
    """A process that holds memory on a card."""

    pid: int
    name: str
    """Its command line, shortened; "" where this user may not see it."""
    used_bytes: int | None
    """None where the driver does not report it (inside containers)."""


@dataclass(frozen=True)
class Card:
    """One accelerator card."""

    index: int
    """The number that the vendor's tool gives it, before CUDA_VISIBLE_DEVICES applies."""
    name: str
    vendor: Vendor
    total_bytes: int
    free_bytes: int | None
    """None where the tool does not report it."""
    compute_capability: tuple[int, int] | None = None
    """NVIDIA's architecture number; None for other vendors."""
    uuid: str = ""
    processes: tuple[CardProcess, ...] = ()

    @property
    def bfloat16(self) -> bool:
        """Whether the card computes in bfloat16: from compute capability 8.0 (Ampere);
        Iluvatar's do.
        """
        return self.compute_capability is None or self.compute_capability >= (8, 0)

    @property
    def fp8_weights(self) -> bool:
        """Whether vLLM can keep weights as fp8 on it: natively from 8.9, weight-only from 7.5."""
        return self.compute_capability is not None and self.compute_capability >= (7, 5)


@dataclass(frozen=True)
class Accelerators:
    """The cards that were found, and what kept others from being found."""

    cards: tuple[Card, ...] = ()
    driver: str = ""
    runtime: str = ""
    """Newest CUDA runtime that the driver supports (12.4), or the CoreX SDK's version."""
    vendor: Vendor | None = None
    troubles: tuple[str, ...] = ()
    """What was tried and failed, one line each; empty on a machine without cards."""
    hidden: tuple[Card, ...] = field(default=())
    """Cards that CUDA_VISIBLE_DEVICES (or IX_VISIBLE_DEVICES) hides from the engine."""


def process_name(pid: int) -> str:
    """The first 60 characters of a process's command line; "" where it ended or is not readable."""
    try:
        process = psutil.Process(pid)
        return (" ".join(process.cmdline()) or process.name())[:60]
    except psutil.Error:
        return ""
