"""The file of the VQA and TextVQA challenges on EvalAI.

The result format of GT-Vision-Lab/VQA, as LLaVA's convert_vqav2_for_submission.py writes it. That
script and lmms-eval also normalise the answers (lower case, no articles); here they are exported
unchanged, so that the server scores what was scored here.
"""

from __future__ import annotations

from typing import Any


def evalai(question_id: int, answer: str) -> dict[str, Any]:
    """The entry of one answer."""
    return {"question_id": question_id, "answer": answer}
