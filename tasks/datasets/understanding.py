"""What the keys of a user's file mean, and each of its records as a row of our own layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pixtrack.tasks.datasets.readers import FileRow
from pixtrack.tasks.literals import read_list

SYNONYMS: dict[str, tuple[str, ...]] = {
    "question": ("question", "query", "prompt", "text", "problem", "conversations"),
    "answers": (
        "answer", "answers", "gold", "golds", "gold_answer", "ground_truth", "gt", "label", "target",
        "reference", "references", "multiple_choice_answer",
    ),
    "image": (
        "image", "images", "image_path", "image_paths", "image_file", "image_name", "img", "img_path",
        "file_name", "filename", "image_local_name", "document", "pdf", "doc_id",
    ),
    "question_id": ("question_id", "questionId", "qid", "id", "sample_id"),
    "question_type": ("question_type", "question_types", "category", "type", "task"),
    "answer_type": ("answer_type", "answer_format"),
    "context": ("context", "hint", "passage"),
    "options": ("options", "choices"),
    "cluster": ("cluster", "doc_id", "document_id", "docId"),
    "flags": ("year",),
    "precision": ("precision",),
    "unit": ("unit",),
}  # fmt: skip
"""Our fields, and what files call them; the first that a file has is taken."""

LETTERS = "ABCDEFGHIJ"
"""Columns of single letters hold the options, one each, as VLMEvalKit's tables have them."""


@dataclass
class Understood:
    """What was found in a file."""

    kind: str
    rows: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    """Our field to the file's key."""
    unused: Counter[str] = field(default_factory=Counter)
    """Keys that mean nothing to us, and in how many rows they stand."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was done to rows, or is worth knowing of them, and how many they are."""

    def lines(self) -> list[str]:
        """In words, for whoever gave the file."""
        said = [f"{self.kind}, {self.rows:,} rows"]
        said += [f"{ours} from {theirs!r}" for ours, theirs in self.fields.items()]
        said += [f"{text} ({count:,} rows)" for text, count in self.notes.items()]
        if self.unused:
            keys = ", ".join(f"{key!r}" for key in sorted(self.unused))
            said.append(f"not used: {keys}; use one with --column FIELD=KEY")
        return said


def fields_found(rows: Iterable[FileRow], chosen: Mapping[str, str]) -> dict[str, str]:
    """Our field to the file's key, over all rows; `chosen` (--column) overrides what is found."""
    keys: dict[str, None] = {}
    for row in rows:
        keys |= dict.fromkeys(row.values)
    lowered = {key.lower(): key for key in reversed(list(keys))}
    found = {
        ours: lowered[name.lower()]
        for ours, names in SYNONYMS.items()
        if (name := next((n for n in names if n.lower() in lowered), None)) is not None
    }
    return {**found, **chosen}


def as_our_row(
    row: FileRow, fields: Mapping[str, str], understood: Understood
) -> tuple[dict[str, Any], str]:
    """(the record by our keys, why it cannot be used or ""); counts into `understood`."""
    understood.rows += 1
    if row.error:
        return {}, row.error
    ours = {name: row.values[key] for name, key in fields.items() if key in row.values}
    used = {*fields.values()}
    options = [row.values[letter] for letter in LETTERS if row.values.get(letter) not in (None, "")]
    if "options" not in ours and len(options) > 1:
        ours["options"] = options
        used |= set(LETTERS)
    understood.unused.update(key for key in row.values if key not in used)
    if fields.get("question") == "conversations":
        error = _conversation(ours, understood)
        if error:
            return {}, error
    if "question" not in ours or ours["question"] in (None, "", []):
        return {}, f"no question (key {fields.get('question', 'question')!r})"
    ours["answers"], error = _golds(ours.get("answers"), understood)
    return ours, error


def _golds(value: Any, understood: Understood) -> tuple[Any, str]:
    """The golds, whatever holds them; none where there are none."""
    if isinstance(value, Mapping):
        held = next((value[key] for key in ("text", "answer", "value") if key in value), None)
        if held is None:
            return [], f"the gold is an object with {', '.join(map(str, value))}: no text in it"
        value = held
    if isinstance(value, str) and value.startswith("[") and (items := read_list(value)) is not None:
        understood.notes["golds given as the text of a list, read as the list"] += 1
        value = list(items)
    if value is None or value == "" or value == []:
        understood.notes["without a gold: asked, and not scored"] += 1
        return [], ""
    listed = value if isinstance(value, list) else [value]
    for gold in listed:
        text = gold.get("answer") if isinstance(gold, Mapping) else gold
        if text is None or (isinstance(text, str) and not text.strip()):
            return [], "a gold answer is empty"
    return value, ""


def _conversation(ours: dict[str, Any], understood: Understood) -> str:
    """LLaVA's conversations: turns of `human` and `gpt`; the last question is asked."""
    turns = ours.get("question")
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        return "conversations: expected a list of turns with `from` and `value`"
    said = [
        (turn.get("from", turn.get("role")), turn.get("value", turn.get("content")))
        for turn in turns
    ]
    asked = [text for who, text in said if who in ("human", "user")]
    golds = [text for who, text in said if who in ("gpt", "assistant", "model")]
    if not asked or not all(isinstance(text, str) for text in [*asked, *golds]):
        return "conversations: no question of a human in it"
    if len(golds) not in (len(asked), len(asked) - 1):
        return f"conversations: {len(asked)} questions but {len(golds)} answers"
    images = ours.get("image")
    count = len(images) if isinstance(images, list) else 1
    ours["question"] = [_numbered(text, count) for text in asked]
    ours["answers"] = golds
    understood.notes["a conversation, whose last question is asked"] += 1
    if len(asked) == 1:
        ours["question"], ours["answers"] = ours["question"][0], golds
    return ""


def _numbered(text: str, images: int) -> str:
    """LLaVA's `<image>` marks as ours, numbered; a single one at the beginning goes without."""
    text = text.strip()
    if images == 1:
        return text.removeprefix("<image>").removesuffix("<image>").strip()
    for number in range(1, images + 1):
        text = text.replace("<image>", f"<image {number}>", 1)
    return text


def joined_with_answers(
    questions: Sequence[FileRow], answers: Iterable[FileRow], key: str
) -> tuple[list[FileRow], int]:
    """(the questions with what the answers' file has of the same id, how many found none)."""
    by_id = {str(row.values.get(key)): row.values for row in answers if not row.error}
    joined, alone = [], 0
    for row in questions:
        more = by_id.get(str(row.values.get(key)))
        alone += more is None
        joined.append(FileRow(row.place, {**(more or {}), **row.values}, row.error))
    return joined, alone
