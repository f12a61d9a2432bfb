"""Recognises what the keys of a user's file mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SYNONYMS: dict[str, tuple[str, ...]] = {
    "question": (
        "question", "query", "prompt", "text", "problem", "conversations", "messages",
    ),
    "answers": (
        "answer", "answers", "gold", "golds", "gold_answer", "ground_truth", "gt", "label", "target",
        "reference", "references", "multiple_choice_answer",
    ),
    "image": (
        "image", "images", "image_path", "image_paths", "image_file", "image_name", "img", "img_path",
        "file_name", "filename", "image_local_name", "document", "pdf", "image_id", "doc_id",
    ),
    "question_id": ("question_id", "questionId", "qid", "id", "sample_id", "index"),
    "question_type": ("question_type", "question_types", "category", "type", "task"),
    "answer_type": ("answer_type", "answer_format"),
    "context": ("context", "hint", "passage"),
    "options": ("options", "choices"),
    "cluster": ("cluster", "doc_id", "document_id", "docId"),
    "flags": ("year",),
    "precision": ("precision",),
    "unit": ("unit",),
}  # fmt: skip
"""Our field names to the keys that files use for them; the first that a file has is taken."""

TURNS = ("conversations", "messages")
"""Keys whose value is a list of turns: LLaVA's, and that of chat interfaces."""

LETTERS = "ABCDEFGHIJ"
_OPTION_PREFIXES = ("", "choice_", "choice", "option_", "option")


@dataclass
class Understood:
    """How a file was understood, with remarks on its rows."""

    kind: str
    rows: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    """Our field names to the file's keys."""
    option_keys: tuple[str, ...] = ()
    """Keys that hold one option each, in order."""
    unused: Counter[str] = field(default_factory=Counter)
    """Keys that are not used, with the number of rows that have them."""
    notes: Counter[str] = field(default_factory=Counter)
    """Remarks on rows, each with their number."""

    def lines(self) -> list[str]:
        """The same in lines for the user."""
        said = [f"{self.kind}, {counted(self.rows)}"]
        said += [f"{ours} from {theirs!r}" for ours, theirs in self.fields.items()]
        if self.option_keys:
            said.append(f"options from {', '.join(map(repr, self.option_keys))}")
        said += [f"{text} ({counted(count)})" for text, count in self.notes.items()]
        if self.unused:
            keys = ", ".join(f"{key!r}" for key in sorted(self.unused))
            said.append(f"not used: {keys}; use one with --column FIELD=KEY")
        return said


def counted(rows: int) -> str:
    """The number of rows in words: `1 row`, `1,200 rows`."""
    return "1 row" if rows == 1 else f"{rows:,} rows"


def fields_found(keys: Sequence[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Our field names to the file's keys; `chosen` (--column) overrides what is recognised."""
    found = {}
    for ours, names in SYNONYMS.items():
        for name in names:
            key = _named(name, keys)
            if key is not None:
                found[ours] = key
                break
    return {**found, **chosen}


def option_keys_found(keys: Sequence[str]) -> tuple[str, ...]:
    """The keys that hold one option each (A, B, …), in order; empty for fewer than two."""
    for prefix in _OPTION_PREFIXES:
        # A key that is a small letter is a coordinate or a variable more often than an option.
        names = ((f"{prefix}{letter}") for letter in LETTERS)
        run: list[str] = []
        for name in names:
            key = _named(name, keys) if prefix else (name if name in keys else None)
            if key is None:
                break
            run.append(key)
        if len(run) > 1:
            return tuple(run)
    return ()


def _named(name: str, keys: Iterable[str]) -> str | None:
    """The key of that name, with the same case or else with another; None without one."""
    other = None
    for key in keys:
        if key == name:
            return key
        if other is None and key.lower() == name.lower():
            other = key
    return other
