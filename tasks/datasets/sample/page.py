"""One generated page: an image, what is written on it, and every question that can be asked."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image

from pixtrack.tasks.datasets.sample.canvas import TextRun
from pixtrack.tasks.datasets.sample.layouts import LAYOUTS
from pixtrack.tasks.datasets.sample.questions import Question
from pixtrack.tasks.datasets.sample.words import Vocabulary


@dataclass(frozen=True, slots=True)
class Page:
    """A page and all that is known about it."""

    layout: str
    image: Image.Image
    """RGB; sides are multiples of 16 pixels, at most 512."""
    runs: tuple[TextRun, ...]
    """Every text on it, in the order of drawing."""
    questions: tuple[Question, ...]
    """Every question that its layout can ask, no text twice."""

    def full_text(self) -> str:
        """Everything written on the page, one text a line, in the order of drawing."""
        return "\n".join(run.text for run in self.runs)


def page_random(seed: int, index: int, purpose: str = "page") -> random.Random:
    """A random generator for one page alone, so that any page can be drawn without the others."""
    return random.Random(f"pixtrack sample {purpose} {seed}/{index}")


def draw_page(
    seed: int, index: int, *, held_out: bool = True, invented: float = 0.0, layout: str = ""
) -> Page:
    """The `index`-th page of a seed. Deterministic, and independent of every other page.

    `held_out`: with the name combinations kept for evaluation, or with training's. `invented`:
    share of words replaced by nonsense. `layout`: one of LAYOUTS; by default they take turns.
    """
    rng = page_random(seed, index)
    name = layout or list(LAYOUTS)[index % len(LAYOUTS)]
    canvas, questions = LAYOUTS[name](rng, Vocabulary(rng, held_out, invented))
    unique = {question.text: question for question in questions}
    return Page(name, canvas.image, tuple(canvas.runs), tuple(unique.values()))
