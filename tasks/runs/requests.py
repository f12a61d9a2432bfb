"""Samples and a prompt to requests: the texts of each turn, and the images that they are about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import PromptConfig
from pixtrack.tasks.records import ImageRef, Request, Sample, request_from_json

_PLACEHOLDER = re.compile(r"\{(question|context)\}")


def build_requests(samples: Iterable[Sample], prompt: PromptConfig, images: Path) -> list[Request]:
    """One request a sample, in the samples' order; samples with an error get none.

    `prompt` is already `for_dataset(name)`; `images` is the image store that `image_path` is
    relative to.
    """
    if "{question}" not in prompt.template:
        raise UserError(
            f"prompt {prompt.name!r}: template: has no {{question}}; add it where the question goes"
        )
    store = images.resolve()
    return [_request(sample, prompt, store) for sample in samples if not sample.error]


def read_requests(path: Path) -> list[Request]:
    """The requests of a run's requests.jsonl. Raises UserError where it cannot be read."""
    try:
        with path.open(encoding="utf-8") as file:
            return [request_from_json(json.loads(line)) for line in file]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: the run's requests cannot be read ({error})") from error


def _request(sample: Sample, prompt: PromptConfig, store: Path) -> Request:
    turns: list[str] = []
    for turn in sample.history:
        # The context belongs to the question that is asked; earlier turns go without it.
        turns += [fill(prompt.history_template, turn.question, ""), turn.answer]
    context = fill(prompt.context_template, "", sample.context) if sample.context else ""
    turns.append(fill(prompt.template, sample.question, context))
    image = ImageRef(
        sha256=sample.image,
        path=str(store / sample.image_path),
        width=sample.width,
        height=sample.height,
    )
    return Request(index=sample.index, images=(image,), turns=tuple(turns), system=prompt.system)


def fill(template: str, question: str, context: str) -> str:
    """The template with its placeholders replaced once: text that holds braces stays as it is."""
    values = {"question": question, "context": context}
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)
