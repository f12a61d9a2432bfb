"""From raw output to prediction: the named steps that a prompt lists under `postprocess`.

A step is a pure function of the text. A prompt that tells the model how to lay out its answer
says here how to read it; metrics never do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pixtrack.configs.errors import unknown_name

_BOLD_ANSWER = re.compile(r"([aA]nswer)\**:\**")
_MARKDOWN = re.compile(r"[*_\[\]()]")


def strip(text: str) -> str:
    """Without white space at the ends."""
    return text.strip()


def first_line(text: str) -> str:
    """The first line that is not blank, stripped: what a model says before it explains itself."""
    return next((line.strip() for line in text.split("\n") if line.strip()), "")


def last_line(text: str) -> str:
    """The last line that is not blank, stripped."""
    return next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "")


def final_answer(text: str) -> str:
    """What follows the last "answer:", up to the end of its line, without markdown.

    Empty where there is none: the answer was not given as asked, and scores as the protocol says.
    Source: mistralai/mistral-evals `eval/metrics.py` (ExplicitPromptRelaxedCorrectness).
    """
    text = _BOLD_ANSWER.sub(r"\1:", text)
    start = text.lower().rfind("answer:")
    if start < 0:
        return ""
    lines = text[start + len("answer:") :].split("\n")
    line = next((line.strip() for line in lines if line.strip()), "")
    return _MARKDOWN.sub("", line)


def without_final_period(text: str) -> str:
    """Without the periods at the end."""
    return text.strip().rstrip(".").rstrip()


def without_quotes(text: str) -> str:
    """Without the pair of quotation marks around the whole."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def without_preamble(text: str) -> str:
    """Without "The answer is" or "Answer:" at the start."""
    return re.sub(r"^\s*(?:the answer is|answer)\s*:?\s+", "", text, flags=re.IGNORECASE)


def lower(text: str) -> str:
    """In lower case."""
    return text.lower()


STEPS: dict[str, Callable[[str], str]] = {
    step.__name__: step
    for step in (
        strip,
        first_line,
        last_line,
        final_answer,
        without_final_period,
        without_quotes,
        without_preamble,
        lower,
    )
}


def apply(steps: Sequence[str], text: str) -> str:
    """The text after the named steps, in order; UserError for a step that does not exist."""
    for name in steps:
        if name not in STEPS:
            raise unknown_name("postprocess step", name, STEPS)
        text = STEPS[name](text)
    return text
