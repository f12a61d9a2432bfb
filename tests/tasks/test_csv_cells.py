"""A cell is text to a spreadsheet, and numbers stay numbers."""

from __future__ import annotations

import pytest

from pixtrack.tasks.csv_cells import safe_cell


@pytest.mark.parametrize(
    "text",
    ['=HYPERLINK("http://x","y")', "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1",
     "-cmd|' /C calc'!A0", "+", "-", "=", "--5", "-5 apples"],
)  # fmt: skip
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize(
    "value", ["-5", "+3.2", "-1,234.5", "-3e5", "-12%", "", "a=b", "x", 7, None]
)
def test_everything_else_is_as_it_was(value: object) -> None:
    assert safe_cell(value) == value
