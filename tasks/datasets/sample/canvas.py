"""Draws a page with Pillow and DejaVu fonts, and records every text on it."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import matplotlib
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

INK: Colour = (24, 24, 28)
GREY: Colour = (120, 120, 128)
PALE: Colour = (206, 208, 214)
PAPERS: tuple[Colour, ...] = (
    (255, 255, 255),
    (255, 255, 255),
    (252, 250, 244),
    (246, 249, 253),
    (248, 248, 246),
)
ACCENTS: tuple[Colour, ...] = (
    (31, 78, 140),
    (163, 44, 52),
    (30, 112, 72),
    (104, 58, 138),
    (186, 98, 18),
    (20, 110, 124),
    (70, 70, 78),
)
SERIES: tuple[Colour, ...] = (
    (52, 110, 180),
    (218, 120, 40),
    (64, 148, 88),
    (190, 62, 70),
    (130, 96, 176),
    (128, 96, 72),
    (40, 160, 170),
)

_FILES = {
    "sans": "DejaVuSans.ttf",
    "sans bold": "DejaVuSans-Bold.ttf",
    "serif": "DejaVuSerif.ttf",
    "serif bold": "DejaVuSerif-Bold.ttf",
    "mono": "DejaVuSansMono.ttf",
    "mono bold": "DejaVuSansMono-Bold.ttf",
}


@functools.cache
def font(face: str, size: int) -> ImageFont.FreeTypeFont:
    """A DejaVu font out of matplotlib's bundled files: the same glyphs on every machine."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / _FILES[face]
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@functools.cache
def _advance(face: str, size: int, character: str) -> float:
    return float(font(face, size).getlength(character))


def text_width(text: str, face: str, size: int) -> float:
    """The width of a text in pixels (the sum of its characters' advances)."""
    return sum(_advance(face, size, character) for character in text)


@dataclass(frozen=True, slots=True)
class TextRun:
    """A text on the page, and where it is."""

    text: str
    x: float
    """Left edge, pixels."""
    baseline: int
    """Pixels from the top."""
    face: str
    size: int
    """Font size, pixels."""

    def characters(self) -> list[tuple[str, float, float]]:
        """Each character with the centre of its cell and the middle of its height, in pixels."""
        middle = self.baseline - 0.36 * self.size
        centres = []
        x = self.x
        for character in self.text:
            width = _advance(self.face, self.size, character)
            centres.append((character, x + width / 2, middle))
            x += width
        return centres


@dataclass
class Canvas:
    """A page of `width` × `height` pixels; coordinates are pixels from the top left."""

    width: int
    height: int
    paper: Colour = (255, 255, 255)
    face: str = "sans"
    size: int = 14
    runs: list[TextRun] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.image = Image.new("RGB", (self.width, self.height), self.paper)
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self,
        x: float,
        baseline: int,
        text: str,
        *,
        bold: bool = False,
        size: int = 0,
        colour: Colour = INK,
        align: Literal["left", "center", "right"] = "left",
    ) -> None:
        """Writes a text; `x` is its left edge, centre or right edge as `align` says."""
        size = size or self.size
        face = f"{self.face} bold" if bold else self.face
        if align != "left":
            width = text_width(text, face, size)
            x -= width / 2 if align == "center" else width
        x = round(x)
        self.draw.text((x, baseline), text, fill=colour, font=font(face, size), anchor="ls")
        self.runs.append(TextRun(text, x, baseline, face, size))

    def trim(self, bottom: int) -> None:
        """Cuts the page off at `bottom`, rounded up to whole patches of 16 pixels."""
        self.height = min(self.height, -(-bottom // 16) * 16)
        self.image = self.image.crop((0, 0, self.width, self.height))

    def measure(self, text: str, *, bold: bool = False, size: int = 0) -> float:
        """How wide `text` would be, in pixels."""
        return text_width(text, f"{self.face} bold" if bold else self.face, size or self.size)

    def line(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour = PALE, width: int = 1
    ) -> None:
        """A straight line."""
        self.draw.line((round(x0), round(y0), round(x1), round(y1)), fill=colour, width=width)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: Colour | None = None,
        outline: Colour | None = None,
    ) -> None:
        """A rectangle, filled or outlined."""
        self.draw.rectangle((round(x0), round(y0), round(x1), round(y1)), fill, outline)


def tint(colour: Colour, share: float) -> Colour:
    """The colour mixed with white: `share` of it, the rest white."""
    r, g, b = (round(255 - (255 - part) * share) for part in colour)
    return (r, g, b)


def random_canvas(
    rng: random.Random, sizes: tuple[tuple[int, int], ...], faces: tuple[str, ...]
) -> Canvas:
    """A blank page of one of the sizes (width, height), its paper and its face chosen at random."""
    width, height = rng.choice(sizes)
    return Canvas(
        width, height, paper=rng.choice(PAPERS), face=rng.choice(faces), size=rng.choice((13, 14))
    )
