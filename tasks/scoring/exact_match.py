"""Exact match: the prediction is one of the golds, character by character.

Source: pix2struct `metrics.pix2struct_metrics` (google-research/pix2struct). Nothing is
normalised: the strictest reading, beside which the others show what they forgive.
"""

from __future__ import annotations

from pixtrack.tasks.records import Gold


def exact_match(prediction: str, gold: Gold) -> float | None:
    """1.0 or 0.0; None without a gold."""
    if not gold.answers:
        return None
    return 1.0 if prediction in gold.answers else 0.0
