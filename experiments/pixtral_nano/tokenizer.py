"""The reduced vocabulary: 20 control tokens, 256 bytes, and the words that questions are made of.

Answers are spelt letter by letter, which makes reading them off an image easy to learn, while a
question's own words (" the", "Which", …) are one token each. tiktoken, which mistral_common uses,
looks a whole word up before it merges pairs, so the words need no merges of their own.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import regex
import tiktoken

from experiments.pixtral_nano.prompts import READING, TEMPLATES
from pixtrack.tasks.datasets.sample.page import draw_page
from pixtrack.tasks.datasets.sample.questions import UNANSWERABLE

BOS, EOS, BEGIN_INST, END_INST, IMG, PAD, IMG_BREAK, IMG_END = 1, 2, 3, 4, 10, 11, 12, 13
"""mistral_common's control tokens for version 3."""
SPECIALS = 20
VOCABULARY = 448

# Mistral's own pattern (tekken_240911.json): words with the space before them, single digits.
PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Tokenizer:
    """Text to token ids and back, exactly as mistral_common does with the exported tekken.json."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        ranks = {bytes([value]): value for value in range(256)}
        for word in self.words:
            ranks[word.encode()] = len(ranks)
        self._model = tiktoken.Encoding(
            "pixtral-nano", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={}
        )
        self.size = SPECIALS + len(ranks)

    def encode(self, text: str) -> list[int]:
        """Token ids; no control tokens."""
        return [token + SPECIALS for token in self._model.encode_ordinary(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, control tokens left out."""
        kept = [token - SPECIALS for token in ids if token >= SPECIALS]
        return self._model.decode(kept)

    def tekken(self, max_image_size: int) -> dict[str, Any]:
        """The content of tekken.json."""
        tokens = [bytes([value]) for value in range(256)] + [word.encode() for word in self.words]
        return {
            "config": {
                "pattern": PATTERN,
                "num_vocab_tokens": len(tokens),
                "default_vocab_size": self.size,
                "default_num_special_tokens": SPECIALS,
                "version": "v3",
            },
            "vocab": [
                {
                    "rank": rank,
                    "token_bytes": base64.b64encode(token).decode(),
                    "token_str": token.decode("utf-8", "replace"),
                }
                for rank, token in enumerate(tokens)
            ],
            "image": {"image_patch_size": 16, "max_image_size": max_image_size},
        }


def question_words(pages: int = 1200) -> list[str]:
    """The commonest words of questions and prompts, names excluded, in order of their use."""
    counts: Counter[str] = Counter()
    for index in range(pages):
        for question in draw_page(0, index, held_out=False).questions:
            counts.update(regex.findall(PATTERN, question.text))
    for template in (*TEMPLATES, *READING):
        counts.update(dict.fromkeys(regex.findall(PATTERN, template), 1000))
    words = [
        (count, piece)
        for piece, count in counts.items()
        # Names are capitalised after a space; two-byte words would be merged inside other words.
        if len(piece) >= 3 and (piece[1:].islower() if piece[0] == " " else piece[0].isupper())
    ]
    ordered = [piece for _, piece in sorted(words, key=lambda item: (-item[0], item[1]))]
    return [UNANSWERABLE, *ordered][: VOCABULARY - SPECIALS - 256]


def load(path: Path | None = None) -> Tokenizer:
    """The tokenizer whose words are listed beside this module (words.json)."""
    path = path or Path(__file__).with_name("words.json")
    return Tokenizer(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    Path(__file__).with_name("words.json").write_text(
        json.dumps(question_words(), ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
    )
