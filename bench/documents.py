"""What the drive modes are asked: synthetic pages of a given size, or the sample dataset."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pixtrack.tasks.records import ImageRef, Request

# How many questions DocVQA's validation split asks about a page: {questions: pages}, 5,349
# questions on 1,286 pages (counted in its annotation file).
DOCVQA_GROUPS = dict(enumerate((140, 200, 238, 211, 178, 115, 82, 49, 38, 26, 6, 2, 1), start=1))

FIELDS = ("invoice number", "total amount", "due date", "customer name", "account", "tax", "city")


def synthetic_requests(
    folder: Path, images: int, questions: str, size: tuple[int, int], seed: int = 0
) -> list[Request]:
    """Pages of `size` pixels, each with so many questions, or `docvqa`: its real group sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        pages = list(
            pool.map(_draw_page, [folder] * images, range(seed, seed + images), [size] * images)
        )
    return ask_pages(pages, questions, seed)


def ask_pages(pages: Sequence[ImageRef], questions: str, seed: int = 0) -> list[Request]:
    """Short questions on each page: so many, or `docvqa`."""
    return list(_ask(pages, group_sizes(len(pages), questions, seed)))


def group_sizes(images: int, questions: str, seed: int = 0) -> list[int]:
    """Questions of each image: a number, or drawn as DocVQA's are, with the same mean."""
    if questions != "docvqa":
        return [int(questions)] * images
    everything = [size for size, pages in DOCVQA_GROUPS.items() for _ in range(pages)]
    # Evenly spaced in the sorted list: few images have the whole split's distribution too.
    chosen = [everything[(2 * i + 1) * len(everything) // (2 * images)] for i in range(images)]
    random.Random(seed).shuffle(chosen)
    return chosen


def sample_requests(folder: Path, images: int) -> list[Request]:
    """The generated sample dataset, with the plain question as the prompt."""
    from pixtrack.tasks.datasets.sample import rows

    folder.mkdir(parents=True, exist_ok=True)
    requests = []
    for row in rows(images, 2024):
        assert isinstance(row.images[0], bytes)
        digest = hashlib.sha256(row.images[0]).hexdigest()
        path = folder / f"{digest}.png"
        if not path.exists():
            path.write_bytes(row.images[0])
        with Image.open(path) as image:
            ref = ImageRef(digest, str(path), *image.size)
        requests.append(Request(index=row.index, images=(ref,), turns=(row.question,)))
    return requests


def _ask(pages: Sequence[ImageRef], sizes: Sequence[int]) -> Iterator[Request]:
    index = 0
    for page, questions in zip(pages, sizes, strict=True):
        for number in range(questions):
            field = FIELDS[(index + number) % len(FIELDS)]
            text = f"What is the {field} in line {3 + 7 * number} of this document? Answer briefly."
            yield Request(index=index, images=(page,), turns=(text,))
            index += 1


def _draw_page(folder: Path, seed: int, size: tuple[int, int]) -> ImageRef:
    path = folder / f"page_{size[0]}x{size[1]}_{seed}.png"
    if path.exists():
        return ImageRef(hashlib.sha256(path.read_bytes()).hexdigest(), str(path), *size)
    random_ = random.Random(seed)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(12, size[1] // 80))
    line = size[1] // 60
    for y in range(2 * line, size[1] - 2 * line, line):
        words = " ".join(random_.choice(FIELDS) + f" {random_.randrange(10**6)}" for _ in range(6))
        draw.text((size[0] // 16, y), words, fill="black", font=font)
    image.save(path, compress_level=1)
    return ImageRef(hashlib.sha256(path.read_bytes()).hexdigest(), str(path), *size)
