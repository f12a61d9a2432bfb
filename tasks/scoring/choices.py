"""What the metrics for multiple-choice questions share: the options' letters, and guessing."""

from __future__ import annotations

import hashlib

from pixtrack.tasks.records import Gold

GUESSED = "guessed"
"""State of an answer that the published evaluator replaces by a random option."""
NOT_PARSED = "not parsed"
"""State of an answer that names no option."""
GOLD_IS_TEXT = ("gold", "text")
"""Detail of a gold that is an option's text (MathVista) rather than its letter."""
SEED = 42
"""The seed of MMMU's evaluator."""


def letters(gold: Gold) -> tuple[str, ...]:
    """A, B, C, … for the gold's options, in their order."""
    return tuple(chr(ord("A") + position) for position in range(len(gold.options)))


def gold_letters(gold: Gold) -> tuple[str, ...]:
    """The letters of the right options.

    A gold is a letter already, unless the dataset's golds are texts (GOLD_IS_TEXT) or it names no
    option: then it is the letter of the first option whose text it is. A gold that is neither
    stays as it is.
    """
    known = letters(gold)
    by_text = GOLD_IS_TEXT in gold.details
    found = []
    for answer in gold.answers:
        if (by_text or answer not in known) and answer in gold.options:
            found.append(known[gold.options.index(answer)])
        else:
            found.append(answer)
    return tuple(found)


def guess(gold: Gold) -> str:
    """A letter drawn by chance, always the same for the same question of a dataset.

    The published evaluators draw from one generator for all questions, so that a score depends on
    the order of the questions and on the answers before.
    """
    known = letters(gold)
    digest = hashlib.sha256(f"{SEED} {gold.index}".encode()).digest()
    return known[int.from_bytes(digest[:8], "big") % len(known)]
