"""What a command says of a run in the end."""

from __future__ import annotations

import io
from typing import Any

import pytest

from pixtrack.flows.report import print_summary
from pixtrack.flows.terminal import DataConsole
from pixtrack.tasks.runs.directory import RunSummary


def said(**changes: Any) -> str:
    """What is printed of a run of ten questions."""
    summary = RunSummary(
        run_dir="/runs/x", model="m", dataset="d", prompt="p", n=10, headline="anls",
        metrics={}, samples_per_s=None, **{"answered": 10, "failed": 0, "truncated": 0, **changes},
    )  # fmt: skip
    text = io.StringIO()
    print_summary(summary, DataConsole(file=text, width=200))
    return text.getvalue()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "10 of 10 answered"),
        ({"answered": 7, "failed": 3}, "7 of 10 answered · 3 failed"),
        ({"answered": 7, "failed": 3, "refused": 2}, "7 of 10 answered · 3 failed (2 refused)"),
    ],
)
def test_refusals_are_shown(changes: dict[str, int], expected: str) -> None:
    assert expected in said(**changes)
    assert ("refused" in said(**changes)) == ("refused" in expected)
