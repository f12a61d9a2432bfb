"""A contact sheet: some samples of a dataset as a picture, with question and golds beneath."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from pixtrack.tasks.images import BadImage, load_image
from pixtrack.tasks.records import PreparedDataset, Sample

CELL_WIDTH, PICTURE_HEIGHT, MARGIN, LINE = 460, 440, 14, 22
GREY, BLACK, GREEN, RED = "#777777", "#111111", "#0a6b2d", "#b00020"
MAX_LINES = 14


def choose(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Chooses samples at even distances over the dataset, failed ones included.

    No image is chosen twice where there are enough different ones.
    """
    firsts = list({sample.image or sample.index: sample for sample in reversed(samples)}.values())
    pool = sorted(firsts if len(firsts) >= count else samples, key=lambda sample: sample.index)
    count = min(count, len(pool))
    return [pool[(2 * number + 1) * len(pool) // (2 * count)] for number in range(count)]


def write_contact_sheet(ready: PreparedDataset, count: int, out: Path) -> list[int]:
    """Writes a PNG of `count` samples; returns their indexes."""
    chosen = choose(ready.samples, count)
    columns = min(5, math.ceil(math.sqrt(len(chosen))))
    cells = [_cell(sample, ready.images) for sample in chosen]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    sheet = Image.new("RGB", (columns * CELL_WIDTH, sum(heights)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for number, cell in enumerate(row):
            sheet.paste(cell, (number * CELL_WIDTH, top))
        top += height
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, "PNG", optimize=False)
    return [sample.index for sample in chosen]


def _cell(sample: Sample, images: Path) -> Image.Image:
    regular, bold = _font("DejaVuSans.ttf"), _font("DejaVuSans-Bold.ttf")
    lines = [(f"#{sample.index}  {sample.question_id}  {sample.question_type}", regular, GREY)]
    for turn in sample.history:
        lines += [(f"{turn.question}  → {turn.answer}", regular, GREY)]
    if sample.context:
        lines += [(f"Context: {sample.context}", regular, GREY)]
    lines += [(sample.question, bold, BLACK), (_golds(sample), regular, GREEN)]
    picture = None
    if sample.error:
        lines += [(sample.error, regular, RED)]
    else:
        try:
            picture = load_image(images / sample.image_path)
        except BadImage as error:
            lines += [(f"image: {error}", regular, RED)]
    width = CELL_WIDTH - 2 * MARGIN
    wrapped = [
        (part, font, colour) for text, font, colour in lines for part in _wrap(text, font, width)
    ][: MAX_LINES * 2]
    height = PICTURE_HEIGHT + MARGIN * 3 + LINE * len(wrapped)
    cell = Image.new("RGB", (CELL_WIDTH, height), "white")
    draw = ImageDraw.Draw(cell)
    box = (MARGIN, MARGIN, MARGIN + width, MARGIN + PICTURE_HEIGHT)
    draw.rectangle(box, outline="#dddddd")
    if picture is not None:
        picture.thumbnail((width - 4, PICTURE_HEIGHT - 4))
        left = MARGIN + (width - picture.width) // 2
        cell.paste(picture, (left, MARGIN + (PICTURE_HEIGHT - picture.height) // 2))
    for number, (text, font, colour) in enumerate(wrapped):
        at = (MARGIN, PICTURE_HEIGHT + MARGIN * 2 + number * LINE)
        draw.text(at, text, font=font, fill=colour)
    return cell


def _golds(sample: Sample) -> str:
    counts = Counter(sample.answers).most_common()
    shown = [f"{gold} ×{n}" if n > 1 else gold for gold, n in counts[:6]]
    return " | ".join(shown) + (" | …" if len(counts) > 6 else "")


def _font(name: str) -> ImageFont.FreeTypeFont:
    """A font file that matplotlib ships: Pillow's built-in font has few non-English letters."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, 15)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Breaks the text into at most MAX_LINES lines that fit the width; long words are broken."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        while font.getlength(word) > width:
            fits = max(1, int(len(word) * width / font.getlength(word)) - 1)
            if line:
                lines.append(line)
                line = ""
            lines.append(word[:fits])
            word = word[fits:]
        longer = f"{line} {word}".strip()
        if font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    lines.append(line)
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], lines[MAX_LINES - 1] + " …"]
    return lines
