"""The row format `mmmu_pro_vision`: question and options stand in the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixtrack.tasks.datasets.formats.mmmu import mmmu

QUESTION = "Answer the multiple-choice question in the image."
"""What is asked before the prompt's own words; MMMU-Pro's code sends its instructions alone."""


def mmmu_pro_vision(record: Mapping[str, Any]) -> dict[str, Any]:
    """A fixed question on an image; the gold is a letter, the options serve scoring alone."""
    return {
        **mmmu(record),
        "question": QUESTION,
        "details": (("options", "in the image"),),
    }
