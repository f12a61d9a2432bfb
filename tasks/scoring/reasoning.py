"""The answer of a model that thinks aloud before it: the post-processing step `reasoning`.

Such models write their thinking between tags (DeepSeek-R1, Qwen and most others `<think>`,
Magistral `[THINK]`, Kimi-VL `◁think▷`) or in plain sight, and mark the answer by a tag, a box or
"Final Answer:". Some chat templates open the thinking in the prompt, so that an output may begin
inside of it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

NO_ANSWER = "never reached an answer"
"""State of an output that ends before its answer begins."""

_THINKING = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
)
_ANSWER = ("<answer>", "</answer>")
_BOX = ("<|begin_of_box|>", "<|end_of_box|>")  # GLM-4.5V
_LATEX_BOXES = (r"\boxed{", r"\fbox{")
# What may follow the words to make a mark of them: a colon, "is", or the end of a heading's line.
_FINAL = ("final answer", re.compile(r"final answer[*_ \t]*(?::|is\b:?|(?=\n)|$)[*_ \t]*"))
_LABEL = ("answer", re.compile(r"answer[*_ \t]*:[*_ \t]*"))
_MARKS_TRIED = 16
"""From the end; an output that writes "final answer" or a box a thousand times is no answer."""
_LONGEST_BOX = 2_000
"""Characters; an answer in a box is short."""
_AFTER_THE_LAST_LINE = f"{string.whitespace}*`"
_BRACE = re.compile(r"\\[{}]|[{}]")
_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\{([^{}]*)\}|\$([^$]+)\$")


def reasoning(text: str) -> str:
    r"""What the output gives as its answer; "" where it ends before one (NO_ANSWER).

    Thinking between tags is taken away. In what remains the answer is what stands in
    `<answer>…</answer>`; else, whichever comes last, what stands in a `\boxed{…}` or follows a
    "Final Answer:" up to the end of the line; else what follows the last "Answer:"; else the last
    line that says something: not a blank one, nor the end of a code block.
    """
    rest = _after_thinking(text)
    if rest is None:
        return ""
    marked = _marked(rest)
    if marked is not None:
        return marked
    return _last_line(rest)


def state(text: str, cut_off: bool) -> str:
    """NO_ANSWER where the output ends before an answer, else "".

    That is: inside the thinking, right after it, or at a mark that nothing follows. An output that
    was `cut_off` at its limit needs a mark: without one its last line is where the thinking
    stopped, not an answer.
    """
    rest = _after_thinking(text)
    if rest is None:
        return NO_ANSWER
    marked = _marked(rest)
    if marked is None and not cut_off:
        marked = _last_line(rest)
    return "" if marked else NO_ANSWER


def _after_thinking(text: str) -> str | None:
    """The text behind the last closing tag of a thinking; None where it ends inside of one.

    An answer that was marked before a thinking began anew, and was cut off, stands.
    """
    lowered = _lower(text)
    start = max(
        (lowered.rfind(end) + len(end) for _, end in _THINKING if end in lowered), default=0
    )
    opened = [place for tag, _ in _THINKING if (place := lowered.find(tag, start)) >= 0]
    if not opened:
        return text[start:]
    before = text[start : min(opened)]
    return before if _marked(before) else None


def _marked(text: str) -> str | None:
    """The answer that is marked as one; None where no mark is found."""
    lowered = _lower(text)
    tagged = _last_tagged(text, lowered, *_ANSWER)
    if tagged is not None:
        inner = _marked(tagged[1])
        return tagged[1].strip() if inner is None else inner
    found = [
        *filter(None, [_last_tagged(text, lowered, *_BOX)]),
        *(box for command in _LATEX_BOXES for box in _last_box(text, command)),
        *_last_after(text, lowered, *_FINAL),
    ] or [*_last_after(text, lowered, *_LABEL)]
    return _unwrapped(max(found)[1]) if found else None


def _last_tagged(text: str, lowered: str, opening: str, closing: str) -> tuple[int, str] | None:
    """(place, content) of the last opening tag; to the end of the text where nothing closes it."""
    opened = lowered.rfind(opening)
    if opened < 0:
        return None
    closed = lowered.find(closing, opened)
    return opened, text[opened + len(opening) : closed if closed >= 0 else len(text)]


def _last_box(text: str, command: str) -> Iterator[tuple[int, str]]:
    """(place, content) of the last box whose braces are balanced, if there is one."""
    for opened in _places_from_the_end(text, command):
        start, depth = opened + len(command), 1
        for brace in _BRACE.finditer(text, start, start + _LONGEST_BOX):
            depth += {"{": 1, "}": -1}.get(brace.group(), 0)
            if not depth:
                yield opened, text[start : brace.start()]
                return


def _last_after(
    text: str, lowered: str, words: str, pattern: re.Pattern[str]
) -> Iterator[tuple[int, str]]:
    """(place, first line behind it that is not blank) of the last mark, if there is one."""
    for place in _places_from_the_end(lowered, words):
        if mark := pattern.match(lowered, place):
            yield place, _first_line(iter(text[mark.end() :].split("\n"))).strip("*_ \t")
            return


def _places_from_the_end(text: str, words: str) -> Iterator[int]:
    """Where the words stand, the last place first."""
    place = len(text)
    for _ in range(_MARKS_TRIED):
        place = text.rfind(words, 0, place)
        if place < 0:
            return
        yield place


def _first_line(lines: Iterator[str]) -> str:
    return next((line.strip() for line in lines if line.strip()), "")


def _last_line(text: str) -> str:
    """The last line that says something, without the marks of emphasis or code around it."""
    line = text.rstrip(_AFTER_THE_LAST_LINE).rpartition("\n")[2]
    return _unwrapped(line.strip().lstrip("*`"))


def _unwrapped(text: str) -> str:
    r"""Without `\text{…}`, `$…$` and the like around the whole."""
    text = text.strip()
    wrapped = _WRAPPED.fullmatch(text)
    return (wrapped.group(1) or wrapped.group(2) or "").strip() if wrapped else text


def _lower(text: str) -> str:
    """In lower case, every character in its place: "İ" would become two."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return re.sub("[A-Z]+", lambda capitals: capitals.group().lower(), text)
