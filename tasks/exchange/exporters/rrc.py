"""The Robust Reading Competition's file: DocVQA and InfographicVQA.

As lmms-eval writes its submissions (tasks/docvqa/utils.py, tasks/infovqa/utils.py,
test_process_results).
"""

from __future__ import annotations

from typing import Any


def rrc(question_id: int, answer: str) -> dict[str, Any]:
    """The entry of one answer."""
    return {"questionId": question_id, "answer": answer}
