"""How much of an answer or a gold a metric or a post-processing step reads.

A model that does not stop, or an answer made to harm, may be megabytes long; what a published
evaluator does with such an answer is not defined, and may take minutes.
"""

from __future__ import annotations

LONGEST_PREDICTION = 1 << 15
"""Characters of an answer that a metric reads: about 8,000 tokens, four times the longest output
limit of any prompt here."""
LONGEST_GOLD = LONGEST_PREDICTION
"""Characters of a gold or an option that a metric reads. The same, so that a gold of any length is
still equal to itself as an answer."""
LONGEST_OUTPUT = 1 << 18
"""Characters that a post-processing step reads, about 65,000 tokens: thinking may be long."""


def both_ends(text: str, longest: int) -> str:
    """The text, or the beginning and the end of one that is longer than `longest` characters.

    The two halves are put on lines of their own, so that no word comes of joining them.
    """
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n{text[-half:]}"
