"""What the parts of the page have in common: a run's mark, the two sides of a pair, numbers."""

from __future__ import annotations

from typing import Any

from pixtrack.tasks.comparison import plots
from pixtrack.tasks.comparison.result import DatasetComparison, Difference


def mark(key: str) -> tuple[str, int]:
    """A run's letter and colour: the same everywhere on the page."""
    number = int(key[1:])
    return chr(ord("A") + number % 26), number % plots.SERIES


def sides(dataset: DatasetComparison, pair: Difference) -> dict[str, Any]:
    """The two runs of a pair, with their marks, as the template shows them."""
    letter, series = mark(pair.run)
    against_letter, against_series = mark(pair.against)
    return {
        "dataset": dataset.dataset,
        "run": dataset.row(pair.run).label,
        "letter": letter,
        "series": series,
        "against": dataset.row(pair.against).label,
        "against_letter": against_letter,
        "against_series": against_series,
    }


def number(value: float | None, digits: int) -> str:
    """A number with a true minus sign; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")
