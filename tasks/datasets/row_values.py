"""Converts a record of a user's file to a row of our own layout: its question, golds and
options.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import math
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from pixtrack.tasks.datasets.formats import BadField
from pixtrack.tasks.datasets.formats.base import encodes, letter, options_of
from pixtrack.tasks.datasets.readers import FileRow
from pixtrack.tasks.datasets.turns import read_turns
from pixtrack.tasks.datasets.understanding import TURNS, Understood
from pixtrack.tasks.literals import LONGEST, read_literal

_LETTERED = re.compile(r"\s*\(?([A-Z])[.):]\s+(.*)", re.DOTALL)


@dataclass
class OurRow:
    """A row by our own field names, or the reason why the record is none."""

    place: str
    values: dict[str, Any] = field(default_factory=dict)
    images: list[Any] | None = None
    """As in the file: names, bytes, mappings; None where the record has no image field."""
    error: str = ""
    unchanged: bool = True
    """Whether reading the original record in our own layout gives the same row."""


def as_our_row(row: FileRow, understood: Understood) -> OurRow:
    """The record by our field names. Remarks on it are counted in `understood.notes`."""
    understood.rows += 1
    ours = OurRow(row.place)
    if row.error:
        ours.error = row.error
        return ours
    fields = understood.fields
    used = {*fields.values(), *understood.option_keys}
    understood.unused.update(key for key in row.values if key not in used)
    try:
        ours.values = {
            name: _plain(row.values[key], key) for name, key in fields.items()
            if key in row.values and name != "image"
        }  # fmt: skip
        ours.unchanged = all(value == row.values[fields[n]] for n, value in ours.values.items())
        _turns(ours, row, understood)
        _images(ours, row, understood)
        _question(ours, fields)
        _options(ours, row, understood)
        _golds(ours, understood)
    except BadField as problem:
        ours.error = str(problem)
    return ours


def _plain(value: Any, key: str) -> Any:
    """The value in JSON's types: dates, decimals and bytes become text, NaN becomes None."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadField(f"{key!r} holds {len(value):,} bytes that are not text") from None
    if isinstance(value, date | datetime | time | Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(held, key) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held, key) for held in value]
    if isinstance(value, str) and not encodes(value):
        raise BadField(f"{key!r} is not valid Unicode (half of a surrogate pair)")
    return value


def _turns(ours: OurRow, row: FileRow, understood: Understood) -> None:
    key = understood.fields.get("question", "")
    if key not in TURNS or "question" not in ours.values:
        return
    images = row.values.get(understood.fields.get("image", ""))
    said = read_turns(ours.values["question"], images)
    ours.values["question"], ours.values["answers"] = said.questions, said.golds
    if len(said.questions) == 1:
        ours.values["question"] = said.questions[0]
    ours.images = said.images
    ours.unchanged = False
    if said.images == []:
        understood.notes["a conversation on no image"] += 1
    if len(said.questions) > 1:
        understood.notes["a conversation, whose last question is asked"] += 1


def _images(ours: OurRow, row: FileRow, understood: Understood) -> None:
    value = row.values.get(understood.fields.get("image", ""))
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return
    ours.images = list(value) if isinstance(value, list | tuple) else [value]


def _question(ours: OurRow, fields: Mapping[str, str]) -> None:
    if ours.values.get("question") in (None, "", []):
        raise BadField(f"no question (key {fields.get('question', 'question')!r})")


def _options(ours: OurRow, row: FileRow, understood: Understood) -> None:
    if ours.values.get("options") is None:
        ours.values.pop("options", None)
        held = [_plain(row.values.get(key), key) for key in understood.option_keys]
        options = [value for value in held if value not in (None, "")]
        if len(options) < 2:
            return
        ours.unchanged = False
    else:
        value = ours.values["options"]
        lines = value.splitlines() if isinstance(value, str) else []
        lettered = len(lines) > 1 and _without_letters(lines)
        strings = _side_by_side(value) if isinstance(value, str) and "[" in value else None
        ours.unchanged = ours.unchanged and not strings
        options = lines if lettered else list(options_of(strings or value))
    bare = _without_letters([str(option) for option in options])
    if bare:
        understood.notes["options that begin with their own letters, taken without them"] += 1
        options, ours.unchanged = bare, False
    if not options:
        del ours.values["options"]
        ours.unchanged = False
        return
    ours.values["options"] = options


def _without_letters(options: list[str]) -> list[str]:
    """The texts of options that each begin with their letter (A. red, B. blue); else []."""
    found = [_LETTERED.fullmatch(option) for option in options]
    matches = [match for match in found if match is not None]
    if len(matches) < len(options) or len(options) < 2:
        return []
    right = all(match.group(1) == letter(place) for place, match in enumerate(matches))
    return [match.group(2) for match in matches] if right else []


def _golds(ours: OurRow, understood: Understood) -> None:
    """Puts the golds into `ours`, from whatever the record has them in; [] without any."""
    found = ours.values.get("answers")
    several_turns = isinstance(ours.values["question"], list)
    value = _held(_written_out(found, understood))
    if isinstance(value, list):
        value = [gold if _is_vqas(gold) else _held(gold) for gold in value]
        if any(isinstance(gold, str) and _items(gold) is not None for gold in value):
            understood.notes["with a gold that is the text of a list, scored as that text"] += 1
    if value in (None, "", []):
        understood.notes["without a gold: asked, and not scored"] += 1
        ours.values["answers"] = []
        ours.unchanged = ours.unchanged and found in (None, [])
        return
    listed = value if isinstance(value, list) else [value]
    for gold in listed:
        _check_gold(gold)
    if any(_whole(gold) for gold in listed):
        understood.notes["golds that are whole numbers, taken without their .0"] += 1
        value = [int(gold) if _whole(gold) else gold for gold in listed]
        value = value if isinstance(found, list) else value[0] if len(value) == 1 else value
    ours.values["answers"] = value
    ours.unchanged = ours.unchanged and value == found and type(value) is type(found)
    if "options" in ours.values and not several_turns:
        _compare_with_options(ours, understood)


def _written_out(value: Any, understood: Understood) -> Any:
    """The list or object that a text is the text of; anything else as it is."""
    if not isinstance(value, str):
        return value
    items = _items(value)
    if items is not None:
        understood.notes["golds given as the text of a list, read as the list"] += 1
        return items
    if value.lstrip().startswith("{"):
        written = _literal(value)
        if isinstance(written, dict):
            understood.notes["golds given as the text of an object, read as the object"] += 1
            return written
    return value


def _held(value: Any) -> Any:
    """What an object holds as its text; anything else as it is.

    Raises BadField where the object has none.
    """
    if not isinstance(value, Mapping):
        return value
    for key in ("text", "answer", "value"):
        if key in value:
            return value[key]
    keys = ", ".join(map(str, value)) or "nothing"
    raise BadField(f"the gold is an object with {keys}: no text in it")


def _is_vqas(gold: Any) -> bool:
    """Whether it is one annotator's gold of several: our own layout has them as VQA does."""
    return isinstance(gold, Mapping) and "answer" in gold


def _check_gold(gold: Any) -> None:
    text = gold.get("answer") if isinstance(gold, Mapping) else gold
    if text is None or (isinstance(text, str) and not text.strip()):
        raise BadField("a gold answer is empty")


def _whole(gold: Any) -> bool:
    return isinstance(gold, float) and gold.is_integer()


def _compare_with_options(ours: OurRow, understood: Understood) -> None:
    options = [str(option) for option in ours.values["options"]]
    value = ours.values["answers"]
    golds = value if isinstance(value, list) else [value]
    texts = [str(gold).strip() for gold in golds]
    letters = {letter(place) for place in range(len(options))}
    known = letters | {option.strip() for option in options}
    if known.isdisjoint(texts) and not (len(texts) == 1 and texts[0].isdecimal()):
        understood.notes["whose gold is neither an option nor its letter: no answer is right"] += 1


def position_of(ours: OurRow) -> int | None:
    """The gold as an option's position (from 0 or 1); None where it is no number, or an option."""
    options, value = ours.values.get("options"), ours.values.get("answers")
    if not options:
        return None
    golds = value if isinstance(value, list) else [value]
    text = str(golds[0]).strip() if len(golds) == 1 else ""
    if not (text.isdecimal() and len(text) < 4):
        return None
    return None if text in {str(option).strip() for option in options} else int(text)


def _items(text: str) -> list[Any] | None:
    """The items of the text of a list; None for other texts.

    As JSON writes it, Python (a tuple of texts too), or NumPy ("['a' 'b']").
    """
    text = text.strip()
    if not text.startswith(("[", "(")):
        return None
    strings = _side_by_side(text)
    if strings is not None:
        return strings
    written = _literal(text)
    if isinstance(written, list):
        return [item if item is None or _is_a_list(item) else str(item) for item in written]
    of_texts = isinstance(written, tuple) and all(isinstance(item, str) for item in written)
    return list(written) if of_texts else None  # (1, 2) is a point


def _is_a_list(item: Any) -> bool:
    return isinstance(item, list | tuple | dict)


def _literal(text: str) -> Any:
    """What the text is a literal of, in JSON or in Python; None where it is none."""
    if len(text) > LONGEST:
        return None
    for read in (json.loads, read_literal):
        with contextlib.suppress(ValueError, RecursionError):
            return read(text)
    return None


def _side_by_side(text: str) -> list[Any] | None:
    """The strings of a list's text without commas, which Python would read as one string."""
    if len(text) > LONGEST or "," in re.sub(r"'[^']*'|\"[^\"]*\"", "", text):
        return None
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text.replace("\n", " ")).readline))
        found = [ast.literal_eval(t.string) for t in tokens if t.type == tokenize.STRING]
    except (tokenize.TokenError, SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    rest = [t.string for t in tokens if t.type == tokenize.OP]
    other = {tokenize.STRING, tokenize.OP, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.NL}
    if len(found) < 2 or rest != ["[", "]"] or any(t.type not in other for t in tokens):
        return None
    return found
