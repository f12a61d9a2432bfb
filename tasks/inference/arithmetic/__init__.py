"""What answering costs at best: a model's arithmetic, and what a device does a second."""

from __future__ import annotations

from pixtrack.tasks.inference.arithmetic.limit import (
    FP8_SHARE,
    H100,
    SHARES_OF_LIMIT,
    USUAL_SHARE,
    Load,
    Rates,
    limit_samples_per_s,
)
from pixtrack.tasks.inference.arithmetic.model import VISIONS, Arithmetic

__all__ = [
    "FP8_SHARE",
    "H100",
    "SHARES_OF_LIMIT",
    "USUAL_SHARE",
    "VISIONS",
    "Arithmetic",
    "Load",
    "Rates",
    "limit_samples_per_s",
]
