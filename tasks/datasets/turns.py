"""Reads conversations in the layouts of training files: LLaVA's `conversations`, chat
`messages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pixtrack.tasks.datasets.formats import BadField

ASKED, ANSWERED = ("human", "user"), ("gpt", "assistant", "model", "bot")
IGNORED = ("system",)
MARK = "<image>"


@dataclass
class Turns:
    """The questions and answers of a conversation."""

    questions: list[str] = field(default_factory=list)
    golds: list[str] = field(default_factory=list)
    """As many as questions, or one fewer: the last question may have none."""
    images: list[Any] | None = None
    """The images that the messages themselves contain; [] for a conversation on no image: none is
    given and none is marked; None where the record's image field says which.
    """


def read_turns(turns: Any, images: Any) -> Turns:
    """Reads a conversation.

    Args:
        turns: the list of turns
        images: the record's image field beside them, if it has one

    Raises:
        BadField: questions and answers do not alternate
    """
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise BadField("the conversation is no list of turns (`from` and `value`)")
    said = Turns()
    shown: list[Any] = []
    for number, turn in enumerate(turns, 1):
        who = turn.get("from", turn.get("role"))
        text = _text(turn.get("value", turn.get("content")), number, shown)
        if who in ASKED and len(said.questions) == len(said.golds):
            said.questions.append(text)
        elif who in ANSWERED and len(said.golds) == len(said.questions) - 1:
            said.golds.append(text)
        elif who not in IGNORED:
            raise BadField(f"turn {number} of the conversation is out of order (from {who!r})")
    if not said.questions:
        raise BadField("nobody asks anything in the conversation")
    beside = images if isinstance(images, list | tuple) else [images] if images else []
    marked = any(MARK in text for text in said.questions)
    said.images = shown or (None if beside or marked else [])
    said.questions = _numbered(said.questions, len(shown) or len(beside))
    return said


def _text(value: Any, number: int, images: list[Any]) -> str:
    """A turn's text; a list of parts becomes their texts, with a mark where an image stands."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise BadField(f"turn {number} of the conversation has no text")
    texts = []
    for part in value:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("image", "image_url"):
            held = part.get("image", part.get("image_url", part.get("path", part.get("url"))))
            held = held.get("url") if isinstance(held, Mapping) and "url" in held else held
            images += [] if held is None else [held]
            texts.append(MARK)
        else:
            raise BadField(f"turn {number} of the conversation has a part that is no text or image")
    return "\n".join(texts)


def _numbered(questions: list[str], images: int) -> list[str]:
    """Replaces LLaVA's `<image>` marks by numbered ones.

    Of a single image the mark at a question's beginning or end is removed instead: images without
    a mark are shown before the question.
    """
    if images < 2:
        return [text.strip().removeprefix(MARK).removesuffix(MARK).strip() for text in questions]
    numbered, count = [], 0
    for text in questions:
        while MARK in text and count < images:
            count += 1
            text = text.replace(MARK, f"<image {count}>", 1)
        numbered.append(text.strip())
    return numbered
