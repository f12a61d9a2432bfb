"""Training batches made on the fly: pages drawn, questions packed, in worker processes.

Training pages use the generator's training combinations of names (`held_out=False`) and seeds of
their own; validation pages use the held-out combinations and a seed that is not the evaluation's.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from experiments.pixtral_nano import prompts
from experiments.pixtral_nano.model import Batch
from experiments.pixtral_nano.tokenizer import (
    BEGIN_INST,
    BOS,
    END_INST,
    EOS,
    IMG,
    IMG_BREAK,
    IMG_END,
    PAD,
    Tokenizer,
    load,
)
from pixtrack.tasks.datasets.sample.canvas import PAPERS
from pixtrack.tasks.datasets.sample.layouts import LAYOUTS
from pixtrack.tasks.datasets.sample.page import Page, draw_page
from pixtrack.tasks.datasets.sample.questions import UNANSWERABLE, Question, choose

PATCH = 16
PATCHES, PREFIX, ROOM = 576, 608, 416
"""Places for patches, for the image's part of the prompt, and for the questions, of one image."""
SEGMENTS = 32
LETTER_SLOTS = 4
KINDS = ("extractive", "counting", "comparing", "sum", "unanswerable", "reading")
LETTERS = 96
"""Classes of the auxiliary loss: 0 for no character, then printable ASCII from `!` on."""

VALIDATION_SEED = 9_000_001
_TRANSCRIPT_TOKENS = 150
_SHARES = {"extractive": 0.40, "counting": 0.17, "comparing": 0.22, "sum": 0.21}

Item = tuple[str, str, str]
"""Question, answer, kind."""


@dataclass(frozen=True)
class DataConfig:
    """What training pages are made of; shares of 1."""

    seed: int = 1
    images_per_batch: int = 64
    invented: float = 0.25
    blank: float = 0.012
    transcript: float = 0.3
    reading: float = 0.18


def pack(image: Image.Image, segments: Sequence[tuple[str, str, str]], tokenizer: Tokenizer,
         template: str = prompts.PLAIN, room: int = ROOM, patches: int = PATCHES,
         prefix: int = PREFIX) -> dict[str, NDArray[np.generic]]:  # fmt: skip
    """One image with its questions as the arrays of a Batch (without the batch's dimension).

    `segments` are (question, answer, kind); the ones that no longer fit are left out, a transcript
    that is too long is cut off without an end token. Raises ValueError for an image too large.
    """
    pixels = np.asarray(image)
    rows, columns = pixels.shape[0] // PATCH, pixels.shape[1] // PATCH
    count = rows * columns
    used = 2 + count + rows
    if count > patches or used > prefix:
        raise ValueError(
            f"image of {image.width}x{image.height} pixels has more than {patches} patches"
        )
    cut = pixels.reshape(rows, PATCH, columns, PATCH, 3).transpose(0, 2, 4, 1, 3)
    patch = np.zeros((patches, 3 * PATCH * PATCH), np.uint8)
    patch[:count] = cut.reshape(count, -1)
    grid = np.zeros((patches, 2), np.int64)
    grid[:count, 0] = np.repeat(np.arange(rows), columns)
    grid[:count, 1] = np.tile(np.arange(columns), rows)

    tokens = np.full(prefix + room, PAD, np.int64)
    patch_of = np.full(prefix + room, -1, np.int64)
    positions = np.zeros(prefix + room, np.int64)
    segment = np.full(prefix + room, -1, np.int64)
    targets = np.full(prefix + room, -100, np.int64)
    weights = np.zeros(prefix + room, np.float32)
    kinds = np.full(SEGMENTS, -1, np.int64)
    body = np.full((rows, columns + 1), IMG, np.int64)
    body[:, -1] = IMG_BREAK
    body[-1, -1] = IMG_END
    tokens[:used] = (BOS, BEGIN_INST, *body.ravel())
    places = np.full((rows, columns + 1), -1, np.int64)
    places[:, :-1] = np.arange(count).reshape(rows, columns)
    patch_of[2:used] = places.ravel()
    positions[:used] = np.arange(used)
    segment[:used] = 0

    at, number = prefix, 0
    end = prefix + room
    for question, answer, kind in segments:
        asked = [*tokenizer.encode(template.replace("{question}", question)), END_INST]
        said = [*tokenizer.encode(answer), EOS]
        if kind == "reading" and len(said) > _TRANSCRIPT_TOKENS:
            said = said[:_TRANSCRIPT_TOKENS]
        length = len(asked) + len(said) - 1
        if at + length > end or number == SEGMENTS:
            continue
        tokens[at : at + length] = asked + said[:-1]
        positions[at : at + length] = np.arange(used, used + length)
        segment[at : at + length] = number + 1
        targets[at + len(asked) - 1 : at + length] = said
        weights[at : at + length] = len(said) ** -0.5 * (0.5 if kind == "reading" else 1.0)
        kinds[number] = KINDS.index(kind)
        at += length
        number += 1
    return {
        "patches": patch,
        "grid": grid,
        "patch_count": np.asarray(count),
        "tokens": tokens,
        "patch_of": patch_of,
        "positions": positions,
        "segments": segment,
        "targets": targets,
        "weights": weights,
        "kinds": kinds,
        "letters": np.full((patches, LETTER_SLOTS), -100, np.int64),
    }


def letters(page: Page, patches: int = PATCHES) -> NDArray[np.int64]:
    """(P, 4): which character has its middle in each quarter of a patch's width; 0 for none."""
    columns = page.image.width // PATCH
    count = columns * (page.image.height // PATCH)
    labels = np.full((patches, LETTER_SLOTS), -100, np.int64)
    labels[:count] = 0
    for run in page.runs:
        for character, x, y in run.characters():
            code = ord(character) - 32
            if 0 < code < LETTERS:
                place = int(y) // PATCH * columns + int(x) // PATCH
                labels[place, int(x) % PATCH * LETTER_SLOTS // PATCH] = code
    return labels


def collate(items: Sequence[dict[str, NDArray[np.generic]]], prefix: int = PREFIX) -> Batch:
    """Images of one padded size as a batch."""
    stacked = {
        name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]
    }
    return Batch(**stacked, prefix=prefix)


def training_item(
    config: DataConfig, tokenizer: Tokenizer, index: int, layout: str
) -> dict[str, NDArray[np.generic]]:
    """One training image: a page, a random wording, many of its questions, reading exercises."""
    rng = random.Random(f"pixtral-nano {config.seed}/{index}")
    invented = rng.choice((0.0, config.invented * 2))
    page = draw_page(config.seed, index, held_out=False, invented=invented, layout=layout)
    template = prompts.random_template(rng)
    if rng.random() < config.blank:
        blank = Image.new("RGB", page.image.size, rng.choice(PAPERS))
        chosen = rng.sample(page.questions, min(8, len(page.questions)))
        return pack(blank, [(q.text, UNANSWERABLE, "unanswerable") for q in chosen], tokenizer)
    segments: list[Item] = []
    if rng.random() < config.transcript:
        segments.append((prompts.READ_PAGE, transcript(page), "reading"))
    exercises = reading(rng, page)
    segments += exercises[: round(config.reading * 14 * rng.random() * 2)]
    segments += draw_questions(rng, page.questions)
    item = pack(page.image, segments, tokenizer, template)
    item["letters"] = letters(page)
    return item


def draw_questions(rng: random.Random, questions: Sequence[Question]) -> list[Item]:
    """The page's questions in random order, the kinds mixed by their shares in training."""
    pools: dict[str, list[Question]] = {}
    for question in questions:
        absent_here = question.answer_type == "unanswerable"
        kind: str = "unanswerable" if absent_here else question.kind
        pools.setdefault(kind, []).append(question)
    absent = pools.pop("unanswerable", [])
    for pool in pools.values():
        rng.shuffle(pool)
    items: list[Item] = []
    if absent and rng.random() < 0.6:
        items.append((rng.choice(absent).text, UNANSWERABLE, "unanswerable"))
    while pools and len(items) < SEGMENTS:
        kind = rng.choices(list(pools), [_SHARES[name] for name in pools])[0]
        question = pools[kind].pop()
        if not pools[kind]:
            del pools[kind]
        items.append((question.text, question.answers[0], kind))
    rng.shuffle(items)
    return items


def lines(page: Page) -> list[list[str]]:
    """The page's texts as lines from top to bottom, each from left to right."""
    by_line: dict[int, list[tuple[float, str]]] = {}
    for run in page.runs:
        by_line.setdefault(run.baseline, []).append((run.x, run.text))
    return [[text for _, text in sorted(by_line[baseline])] for baseline in sorted(by_line)]


def transcript(page: Page) -> str:
    """Everything written on the page, in reading order."""
    return "\n".join(" ".join(line) for line in lines(page))


def reading(rng: random.Random, page: Page) -> list[Item]:
    """Reading exercises about lines and neighbours, in random order, none ambiguous."""
    rows = lines(page)
    every = [text for row in rows for text in row]
    items: list[Item] = []
    for row in rows:
        if len(row) > 1 and every.count(row[0]) == 1:
            items.append((prompts.READ_LINE.format(text=row[0]), " ".join(row), "reading"))
        for a, b in itertools.pairwise(row):
            if every.count(a) == 1:
                items.append((prompts.RIGHT_OF.format(text=a), b, "reading"))
    rng.shuffle(items)
    return items


class TrainingPages(IterableDataset[Batch]):
    """Endless batches; each worker draws pages of its own (index = worker, worker + workers, …)."""

    def __init__(self, config: DataConfig, first: int) -> None:
        self.config, self.first = config, first

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        tokenizer = load()
        names = list(LAYOUTS)
        drawn = 0
        while True:
            items = []
            for _ in range(self.config.images_per_batch):
                index = self.first + worker + drawn * workers
                items.append(
                    training_item(self.config, tokenizer, index, names[drawn % len(names)])
                )
                drawn += 1
            yield collate(items)


def training_batches(config: DataConfig, first: int, workers: int) -> Iterator[Batch]:
    """Batches from page number `first` on; `workers` processes draw ahead (0: this one)."""
    loader = DataLoader(
        TrainingPages(config, first),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    return iter(loader)


def validation_batches(images: int, per_batch: int) -> list[Batch]:
    """Pages with held-out names and the questions that an evaluation would ask of them."""
    tokenizer = load()
    items = []
    for index in range(images):
        page = draw_page(VALIDATION_SEED, index)
        rng = random.Random(f"validation {index}")
        asked = [*choose(rng, page.questions), *choose(rng, page.questions)]
        segments = {
            q.text: (
                q.text,
                q.answers[0],
                "unanswerable" if q.answer_type == "unanswerable" else q.kind,
            )
            for q in asked
        }
        item = pack(page.image, list(segments.values()), tokenizer)
        item["letters"] = letters(page)
        items.append(item)
    return [collate(items[start : start + per_batch]) for start in range(0, images, per_batch)]
