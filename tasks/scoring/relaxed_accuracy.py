"""Relaxed accuracy, ChartQA's metric: numbers within 5%, anything else letter by letter.

Source: pix2struct `metrics.relaxed_correctness` (google-research/pix2struct), which ChartQA's
authors point to; the tolerance is from Methani et al. 2020 (PlotQA). What follows from the
published code, and surprises: a gold of 0 is compared as a string; nothing but a trailing "%" is
stripped ("1,000", "$5" and "5 km" are no numbers); a year gets the same 5%; and a gold "nan" is a
number that nothing comes near.
"""

from __future__ import annotations

from pixtrack.tasks.records import Gold

TOLERANCE = 0.05
"""Relative difference that still counts as right (Methani et al. 2020; ChartQA, section 5.1)."""


def relaxed_accuracy(prediction: str, gold: Gold) -> float | None:
    """1.0 where the prediction is right for one of the golds, else 0.0; None without a gold."""
    if not gold.answers:
        return None
    return 1.0 if any(_is_right(prediction, target) for target in gold.answers) else 0.0


def _is_right(prediction: str, target: str) -> bool:
    target_number = _number(target)
    if target_number:
        predicted_number = _number(prediction)
        if predicted_number is not None:
            return abs(predicted_number - target_number) / abs(target_number) <= TOLERANCE
    return prediction.lower() == target.lower()


def _number(text: str) -> float | None:
    try:
        if text.endswith("%"):
            return float(text.rstrip("%")) / 100.0
        return float(text)
    except ValueError:
        return None
