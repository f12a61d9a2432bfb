"""What an accelerator card is, and the processes that hold its memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import psutil

Vendor = Literal["nvidia", "iluvatar"]

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class CardProcess:
    """A process that holds memory of a card."""

    pid: int
    name: str
    """Its command, shortened; "" where this user may not see it."""
    used_bytes: int | None
    """None where the driver does not tell (inside containers)."""


@dataclass(frozen=True)
class Card:
    """One accelerator card."""

    index: int
    """As the vendor's tool counts, before CUDA_VISIBLE_DEVICES."""
    name: str
    vendor: Vendor
    total_bytes: int
    free_bytes: int | None
    """None where the tool does not tell."""
    compute_capability: tuple[int, int] | None = None
    """NVIDIA's architecture number; None for other vendors."""
    uuid: str = ""
    processes: tuple[CardProcess, ...] = ()

    @property
    def bfloat16(self) -> bool:
        """Whether the card computes in bfloat16: compute capability 8.0 (Ampere) and later; MR-V100 does."""
        return self.compute_capability is None or self.compute_capability >= (8, 0)

    @property
    def fp8_weights(self) -> bool:
        """Whether vLLM can hold the weights as fp8 here (natively from 8.9, weight-only from 7.5)."""
        return self.compute_capability is not None and self.compute_capability >= (7, 5)


@dataclass(frozen=True)
class Accelerators:
    """What was found, and what stood in the way of finding."""

    cards: tuple[Card, ...] = ()
    driver: str = ""
    runtime: str = ""
    """Newest CUDA runtime that the driver supports (12.4), or the CoreX SDK's version."""
    vendor: Vendor | None = None
    troubles: tuple[str, ...] = ()
    """One line each: what was tried and failed. Empty where there is simply no card."""
    hidden: tuple[Card, ...] = field(default=())
    """Cards that CUDA_VISIBLE_DEVICES (or IX_VISIBLE_DEVICES) hides from the engine."""


def process_name(pid: int) -> str:
    """A process's command line, its first 60 characters; "" where it is gone or not ours to see."""
    try:
        process = psutil.Process(pid)
        return (" ".join(process.cmdline()) or process.name())[:60]
    except psutil.Error:
        return ""
