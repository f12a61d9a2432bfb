"""What bar and line charts share: the title, the value axis and its grid."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pixtrack.tasks.datasets.sample.canvas import GREY, INK, PALE, Canvas

UNITS = ("", "", "%", "kg", "km", "$")


@dataclass(frozen=True)
class Scale:
    """The value axis: ticks from 0 to `top` in steps of `step`."""

    top: int
    step: int

    def share(self, value: float) -> float:
        """Where a value lies between 0 (the axis' foot) and 1 (its top)."""
        return value / self.top


def random_scale(rng: random.Random) -> Scale:
    """An axis with four or five steps."""
    step = rng.choice((2, 5, 10, 20, 25, 50))
    return Scale(step * rng.choice((4, 5)), step)


def random_values(rng: random.Random, scale: Scale, count: int, written: bool) -> list[int]:
    """Values on the axis; where they are not written out, only multiples that can be read off."""
    if written or scale.step == 2:
        return [rng.randint(max(1, scale.top // 12), scale.top) for _ in range(count)]
    unit = scale.step if scale.step in (5, 25) else scale.step // 2
    return [unit * rng.randint(1, scale.top // unit) for _ in range(count)]


def draw_title(canvas: Canvas, rng: random.Random, title: str, unit: str) -> None:
    """The chart's title, with the unit in brackets beneath it where there is one."""
    centred = rng.random() < 0.6
    x, align = (canvas.width / 2, "center") if centred else (16, "left")
    canvas.text(x, 30, title, bold=True, size=17, align=align)  # type: ignore[arg-type]
    if unit:
        canvas.text(x, 48, f"in {unit_name(unit)}", colour=GREY, size=13, align=align)  # type: ignore[arg-type]


def unit_name(unit: str) -> str:
    """The unit as the chart's subtitle writes it."""
    return {"%": "percent", "$": "dollars"}.get(unit, unit)


def draw_value_axis(
    canvas: Canvas, scale: Scale, x0: int, x1: int, foot: int, top: int, grid: bool
) -> None:
    """Tick labels left of `x0`, and a grid line for each where asked."""
    for value in range(0, scale.top + 1, scale.step):
        y = round(foot - (foot - top) * scale.share(value))
        if grid or value == 0:
            canvas.line(x0, y, x1, y, GREY if value == 0 else PALE)
        canvas.line(x0 - 4, y, x0, y, INK)
        canvas.text(x0 - 8, y + 5, str(value), size=13, align="right")
    canvas.line(x0, top, x0, foot, INK)


def written_value(value: int, unit: str) -> str:
    """A value as it is written beside its bar or point."""
    if unit == "%":
        return f"{value}%"
    if unit == "$":
        return f"${value}"
    return str(value)


def draw_legend(canvas: Canvas, names: list[str], colours: list[tuple[int, int, int]]) -> None:
    """A row of coloured squares with the series' names, along the lower edge."""
    y = canvas.height - 14
    width = sum(canvas.measure(name, size=13) + 38 for name in names)
    x = (canvas.width - width) / 2
    for name, colour in zip(names, colours, strict=True):
        canvas.box(x, y - 11, x + 11, y, fill=colour)
        canvas.text(x + 16, y, name, size=13)
        x += canvas.measure(name, size=13) + 38
