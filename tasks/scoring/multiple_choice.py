"""Multiple choice without guessing: the letter that an answer begins with, else an option's text.

Source: EvolvingLMMs-Lab/lmms-eval 75571cf `lmms_eval/tasks/ai2d` (the letter before a full stop at
the beginning, else all of the answer, compared without case and punctuation) with its two targets,
the right option's letter and its text. An answer that is neither is wrong, and is counted.
`first_character` is the rule of its `lmms_eval/tasks/seedbench_2_plus`.
"""

from __future__ import annotations

import re
import string

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring.choices import NOT_PARSED, gold_letters, letters

_LETTER_FIRST = re.compile(r"\s*\(?([A-Z])[.):]")
"""Published: `([A-Z])\\.`; "(B) Mangrove", "B) Mangrove" and "B: mangrove" mean the same."""
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def multiple_choice(prediction: str, gold: Gold) -> float | None:
    """1.0 where the answer names the right option, else 0.0; None without a gold."""
    if not gold.answers:
        return None
    return 1.0 if chosen_option(prediction, gold) in gold_letters(gold) else 0.0


def first_character(prediction: str, gold: Gold) -> float | None:
    """1.0 where the answer's first character is the right letter, else 0.0; None without a gold.

    Upper and lower case are the same. "Because …" is B: the published rule knows no better.
    """
    if not gold.answers:
        return None
    seen = prediction.strip()[:1].lower()
    return 1.0 if any(seen == letter.lower().strip() for letter in gold_letters(gold)) else 0.0


def not_parsed(prediction: str, gold: Gold) -> str:
    """NOT_PARSED where the answer names none of the options, else ""."""
    return NOT_PARSED if chosen_option(prediction, gold) is None else ""


def chosen_option(response: str, gold: Gold) -> str | None:
    """The letter of the option that the answer names; None where it names none.

    The letter alone or at the beginning ("B", "(b)", "B. Mangrove"), else the text of an option and
    nothing else. Text that two options share names the first of them.
    """
    known = letters(gold)
    first = _LETTER_FIRST.match(response)
    if first and first.group(1) in known:
        return first.group(1)
    plain = _plain(response)
    if plain.upper() in known:
        return plain.upper()
    texts = [_plain(option) for option in gold.options]
    return known[texts.index(plain)] if plain and plain in texts else None


def _plain(text: str) -> str:
    """Lower-cased, without punctuation, single blanks between words."""
    return " ".join(text.lower().translate(_WITHOUT_PUNCTUATION).split())
