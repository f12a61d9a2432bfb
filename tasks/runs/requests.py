"""Samples and a prompt to requests: the texts of each turn, and the images that they are about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase
from typing import Literal

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import DatasetConfig, ModelConfig, PromptConfig
from pixtrack.tasks.records import ImageRef, Request, Sample, request_from_json

_PLACEHOLDER = re.compile(r"\{(question|context|options)\}")
_OPTION = re.compile(r"\{(letter|option)\}")
_MARK = re.compile(r"<image (\d{1,4})>")


@dataclass(frozen=True)
class PageRule:
    """What becomes of a sample with many images: the dataset's rule and the model's limit."""

    choice: Literal["refuse", "first", "even"] = "refuse"
    most: int | None = None
    """Images that are shown at most; None: all."""

    @classmethod
    def of(
        cls, dataset: DatasetConfig, model: ModelConfig, shots: Sequence[Sample] = ()
    ) -> PageRule:
        """The dataset's rule; where it chooses pages, the model's own limit counts too.

        Of that limit the images of worked examples (`shots`) are taken.
        """
        if dataset.pages == "refuse":
            return cls()
        room = max(1, model.max_images - _image_count(shots))
        limits = [room, *([dataset.max_pages] if dataset.max_pages else [])]
        return cls(dataset.pages, min(limits))

    def shown(self, count: int) -> list[int]:
        """Which of so many images are shown: their numbers from 0, in order."""
        if self.choice == "refuse" or self.most is None:
            return list(range(count))
        return chosen_pages(self.choice, count, self.most)


def chosen_pages(choice: str, count: int, most: int) -> list[int]:
    """The numbers, from 0 and in order, of at most `most` of `count` pages.

    `choice` is `first` for the first ones; else they stand at even distances, the first and the
    last among them.
    """
    if count <= most:
        return list(range(count))
    if choice == "first":
        return list(range(most))
    steps = max(1, most - 1)
    return sorted({round(n * (count - 1) / steps) for n in range(most)})


def _image_count(samples: Iterable[Sample]) -> int:
    return sum(len(sample.images) for sample in samples)


def check_shots(
    shots: Sequence[Sample], samples: Iterable[Sample], model: ModelConfig, pages: PageRule
) -> None:
    """Raises UserError where the model takes too few images for worked examples and a question.

    Without examples nothing is checked: a question with too many images is refused by itself. Where
    pages are chosen, a question shows as few as one.
    """
    if not shots:
        return
    taken = _image_count(shots)
    least = min((len(sample.images) for sample in samples if not sample.error), default=0)
    least = least if pages.choice == "refuse" else min(least, 1)
    if taken + least > model.max_images:
        raise UserError(
            f"{len(shots)} worked examples show {taken} images and a question shows {least} or more: "
            f"{model.name} takes {model.max_images} in one prompt: raise max_images in the model's "
            "file, or lower shots.count in the prompt's"
        )


def build_requests(
    samples: Iterable[Sample],
    prompt: PromptConfig,
    images: Path,
    pages: PageRule | None = None,
    shots: Sequence[Sample] = (),
) -> list[Request]:
    """One request a sample, in the samples' order; samples with an error get none.

    Args:
        samples: what is asked
        prompt: already `for_dataset(name)`
        images: the image store that the images' paths are relative to
        pages: what becomes of samples with many images
        shots: worked examples that every request begins with

    Raises:
        UserError: the template has no {question}
    """
    if "{question}" not in prompt.template:
        raise UserError(
            f"prompt {prompt.name!r}: template: has no {{question}}; add it where the question goes"
        )
    store, rule = images.resolve(), pages or PageRule()
    asked = (_request(sample, prompt, store, rule) for sample in samples if not sample.error)
    if not shots:
        return list(asked)
    examples = [_request(shot, prompt, store, PageRule()) for shot in shots]
    answers = [shot.answers[0] for shot in shots]
    return [_after_examples(request, examples, answers) for request in asked]


def _after_examples(
    request: Request, examples: Sequence[Request], answers: Sequence[str]
) -> Request:
    """The request with the worked examples as its first turns."""
    turns: list[str] = []
    parts: list[tuple[str | None, ...]] = []
    for example, answer in zip(examples, answers, strict=True):
        turns += [*example.turns, answer]
        parts += [*example.layout, (answer,)]
    images = tuple(image for example in examples for image in example.images)
    return replace(
        request,
        images=(*images, *request.images),
        turns=(*turns, *request.turns),
        parts=(*parts, *request.layout),
        shots=len(turns),
    )


def read_requests(path: Path) -> list[Request]:
    """The requests of a run's requests.jsonl. Raises UserError where it cannot be read."""
    try:
        with path.open(encoding="utf-8") as file:
            return [request_from_json(json.loads(line)) for line in file]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: the run's requests cannot be read ({error}): run the same `pixtrack eval` again, which writes them anew"
        ) from error


def _request(sample: Sample, prompt: PromptConfig, store: Path, pages: PageRule) -> Request:
    turns: list[str] = []
    for turn in sample.history:
        # The context belongs to the question that is asked; earlier turns go without it.
        turns += [fill(prompt.history_template, question=turn.question), turn.answer]
    context = fill(prompt.context_template, context=sample.context) if sample.context else ""
    options = options_text(prompt, sample.shown_options)
    template = prompt.template
    if options and "{options}" not in template:
        template = template.replace("{question}", "{question}{options}", 1)
    turns.append(fill(template, question=sample.question, context=context, options=options))
    kept = pages.shown(len(sample.images))
    parts, order = place_images(turns, kept)
    shown = [sample.images[number] for number in order]
    return Request(
        index=sample.index,
        images=tuple(
            ImageRef(image.sha256, str(store / image.path), image.width, image.height)
            for image in shown
        ),
        turns=tuple(turns),
        system=prompt.system,
        parts=parts,
        left_out=len(sample.images) - len(kept),
        pages="" if pages.choice == "refuse" or len(kept) < 2 else pages.choice,
    )


def options_text(prompt: PromptConfig, options: Sequence[str]) -> str:
    """The options as the prompt puts them; "" where there are none."""
    if not options:
        return ""
    lines = []
    for letter, text in zip(letters(len(options)), options, strict=True):
        values = {"letter": letter, "option": text}
        lines.append(_OPTION.sub(lambda found, v=values: v[found[1]], prompt.option_template))  # type: ignore[misc]
    joined = prompt.option_separator.join(lines)
    return fill(prompt.options_template, options=joined)


def letters(count: int) -> list[str]:
    """A, B, …, Z, AA, AB, …: the letters of so many options."""
    return [
        (ascii_uppercase[number // 26 - 1] if number >= 26 else "") + ascii_uppercase[number % 26]
        for number in range(count)
    ]


def place_images(
    turns: Sequence[str], kept: Sequence[int]
) -> tuple[tuple[tuple[str | None, ...], ...], list[int]]:
    """(`Request.parts`, the numbers of the images in the order in which they are shown).

    `kept` are the images that are shown, numbered from 0. An image stands where a user's turn
    mentions it first (`<image 1>` is image 0); mentioned again, and mentioned where it is not
    shown, the mark stays text. Images that are not mentioned stand before the first turn's text.
    """
    shown = set(kept)
    found: list[list[str | None]] = []
    order: list[int] = []
    for number, text in enumerate(turns):
        pieces: list[str | None] = []
        start = 0
        for mark in _MARK.finditer(text) if number % 2 == 0 else ():
            image = int(mark[1]) - 1
            if image in shown and image not in order:
                order.append(image)
                pieces += [text[start : mark.start()], None]
                start = mark.end()
        pieces.append(text[start:])
        found.append([piece for piece in pieces if piece != ""] or [""])
    if not order:
        return (), list(kept)
    first = [number for number in kept if number not in order]
    found[0] = [*(None for _ in first), *found[0]]
    return tuple(tuple(turn) for turn in found), [*first, *order]


def fill(template: str, **values: str) -> str:
    """The template with its placeholders replaced once: text that holds braces stays as it is."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], ""), template)
