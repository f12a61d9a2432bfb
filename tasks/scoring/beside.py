"""What stands beside a score, in words: how answers were read, and a metric's further figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pixtrack.tasks.runs.directory import Count


def lines_beside(
    states: Mapping[str, Mapping[str, Count]], figures: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    """A line for each state that some answers have, and for each figure.

    "reasoning: 12% never reached an answer (36 of 300)"; "ocrbench: characters of an answer, on
    average 41.3".
    """
    for owner, found in states.items():
        for state, count in found.items():
            yield f"{owner}: {_share(count)} {state} ({count.count:,} of {count.of:,})"
    for owner, values in figures.items():
        for name, value in values.items():
            yield f"{owner}: {name} {value:,.1f}"


def _share(count: Count) -> str:
    """Whole percents, tenths below ten, so that a few answers of a thousand are not 0%."""
    return f"{count.percent:.0f}%" if count.percent >= 10 else f"{count.percent:.1f}%"
