"""From raw output to prediction: the named steps that a prompt lists under `postprocess`.

A step is a pure function of the text. A prompt that tells the model how to lay out its answer
says here how to read it; metrics never do. What a step could not find is a state of the answer,
which is counted and shown beside the score.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pixtrack.configs.errors import unknown_name
from pixtrack.configs.references import is_reference
from pixtrack.tasks.scoring import reasoning as thinking
from pixtrack.tasks.scoring.limits import LONGEST_OUTPUT, both_ends
from pixtrack.tasks.scoring.own import load
from pixtrack.tasks.scoring.reasoning import reasoning

NOT_GIVEN = "gave no final answer"
"""State of an output without the "answer:" that was asked for."""

_LAST_ANSWER = re.compile(r".*(?:[aA]nswer\**:\**|[aA][nN][sS][wW][eE][rR]:)", re.DOTALL)
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
    mark = _LAST_ANSWER.match(text)
    if not mark:
        return ""
    # As published: the place is that in the lower-cased text, in which "İ" is two characters.
    shift = len(mark.group().lower()) - len(mark.group())
    lines = text[mark.end() + shift :].split("\n")
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
        reasoning,
        without_final_period,
        without_quotes,
        without_preamble,
        lower,
    )
}


STATES: dict[str, Callable[[str, bool], str]] = {
    "final_answer": lambda text, _cut_off: "" if final_answer(text) else NOT_GIVEN,
    "reasoning": thinking.state,
}
"""Step to what it says of a text, given whether that was cut off at the output limit; "" where
there is nothing to say."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the steps make of a raw output."""

    prediction: str
    states: tuple[tuple[str, str], ...] = ()
    """(step, state) for every step that has something to say."""


def step(name: str) -> Callable[[str], str]:
    """The step of that name, or the user's own that the reference names.

    Raises UserError for a step that does not exist, and for a file that cannot be loaded.
    """
    if is_reference(name):
        return load(name).text
    if name not in STEPS:
        raise unknown_name("postprocess step", name, STEPS)
    return STEPS[name]


def check_steps(steps: Sequence[str]) -> None:
    """Raises UserError for a step that does not exist or cannot be loaded."""
    for name in steps:
        step(name)


def read(steps: Sequence[str], text: str, cut_off: bool = False) -> Reading:
    """The prediction and its states after the named steps, in order.

    `cut_off`: whether the output ends where it does because of the output limit. Of a text longer
    than LONGEST_OUTPUT the beginning and the end are read. Raises UserError for a step that does
    not exist.
    """
    states = []
    if steps:
        text = both_ends(text, LONGEST_OUTPUT)
    for name in steps:
        if name in STATES and (state := STATES[name](text, cut_off)):
            states.append((name, state))
        text = step(name)(text)
    return Reading(text, tuple(states))


def apply(steps: Sequence[str], text: str) -> str:
    """The prediction alone; see `read`."""
    return read(steps, text).prediction
