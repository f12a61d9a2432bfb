"""A record's fields, one that cannot be used among them."""

from __future__ import annotations

import pytest

from pixtrack.tasks.datasets.fields import to_row


@pytest.mark.parametrize("field", ["question_id", "question_type", "answer_type", "cluster"])
def test_a_label_that_is_no_text_spoils_its_row_and_is_left_empty(field: str) -> None:
    row = to_row("plain", 3, {"question": "Who?", "answers": "me", field: {"a": 1}})
    assert row.error
    assert getattr(row, field) == ""
    assert (row.index, row.question) == (3, "Who?")
