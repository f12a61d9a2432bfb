"""Line charts: one or two series over years or months."""

from __future__ import annotations

import random

from pixtrack.tasks.datasets.sample.canvas import GREY, SERIES, Canvas, random_canvas
from pixtrack.tasks.datasets.sample.layouts.axes import (
    UNITS,
    Scale,
    draw_legend,
    draw_title,
    draw_value_axis,
    random_scale,
    random_values,
    written_value,
)
from pixtrack.tasks.datasets.sample.questions import (
    Question,
    counting,
    extractive,
    sample_pairs,
    superlatives,
    threshold_counts,
    total,
    unanswerable,
    whether,
    with_unit,
)
from pixtrack.tasks.datasets.sample.words import CITIES, COUNTRIES, MONTHS, Vocabulary

SIZES = ((352, 304), (384, 304), (400, 320), (416, 304), (432, 288), (448, 304))


def draw(rng: random.Random, words: Vocabulary) -> tuple[Canvas, list[Question]]:
    """A chart of four to six points a line."""
    canvas = random_canvas(rng, SIZES, ("sans",))
    title, unit, scale = words.title(), rng.choice(UNITS), random_scale(rng)
    labels = _moments(rng)
    count = len(labels)
    names = words.words(rng.choice((CITIES, COUNTRIES)), 2) if rng.random() < 0.4 else [""]
    written = len(names) == 1 and rng.random() < 0.65
    values = [random_values(rng, scale, count, written) for _ in names]
    colours = rng.sample(SERIES, len(names))
    draw_title(canvas, rng, title, unit)
    _plot(canvas, rng, labels, values, scale, colours, unit if written else None)
    if len(names) > 1:
        draw_legend(canvas, names, colours)

    absent = _absent(rng, labels)
    questions = [
        extractive("What is the title of the chart?", title),
        extractive("What is the first label on the horizontal axis?", labels[0]),
        extractive("What is the last label on the horizontal axis?", labels[-1]),
        counting("How many lines are shown?", len(names)),
        counting("How many points does each line have?", count),
    ]
    for name, numbers in zip(names, values, strict=True):
        of = f" of {name}" if name else ""
        questions += [
            unanswerable(f"What is the value{of} in {absent}?"),
            *superlatives(
                labels,
                numbers,
                (f"When is the value{of} highest?",),
                (f"When is the value{of} lowest?",),
            ),
            *threshold_counts(
                rng,
                numbers,
                lambda bound, of=of: f"How many values{of} are above {bound}?",  # type: ignore[misc]
            ),
        ]
        for label, number in zip(labels, numbers, strict=True):
            questions.append(
                extractive(
                    f"What is the value{of} in {label}?",
                    *with_unit(number, unit),
                    answer_type="number",
                )
            )
        for i, j in sample_pairs(rng, count, 3):
            a, b = labels[i], labels[j]
            questions += [
                total(
                    f"What is the sum of the values{of} in {a} and {b}?",
                    numbers[i] + numbers[j],
                    unit,
                ),
                whether(f"Is the value{of} in {a} higher than in {b}?", numbers[i] > numbers[j]),
            ]
    if len(names) > 1:
        a, b = names
        for place, label in enumerate(labels):
            questions.append(
                whether(f"Is {a} above {b} in {label}?", values[0][place] > values[1][place])
            )
        for name in names:
            questions.append(Question(f"Is {name} shown?", ("yes",), "extractive", "yes/no"))
    return canvas, questions


def _moments(rng: random.Random) -> list[str]:
    count = rng.randint(4, 6)
    if rng.random() < 0.6:
        start = rng.randint(1990, 2024)
        return [str(start + place) for place in range(count)]
    start = rng.randint(0, 12 - count)
    return list(MONTHS[start : start + count])


def _absent(rng: random.Random, labels: list[str]) -> str:
    """A year or month that the chart does not show."""
    if labels[0].isdigit():
        return str(int(labels[-1]) + rng.randint(1, 5))
    return rng.choice([month for month in MONTHS if month not in labels])


def _plot(
    canvas: Canvas,
    rng: random.Random,
    labels: list[str],
    values: list[list[int]],
    scale: Scale,
    colours: list[tuple[int, int, int]],
    unit: str | None,
) -> None:
    x0, x1, top = 48, canvas.width - 14, 76
    foot = canvas.height - (52 if len(values) > 1 else 32)
    draw_value_axis(canvas, scale, x0, x1, foot, top, grid=unit is None or rng.random() < 0.6)
    pitch = (x1 - x0) / len(labels)
    xs = [x0 + pitch * (place + 0.5) for place in range(len(labels))]
    for x, label in zip(xs, labels, strict=True):
        canvas.line(x, foot, x, foot + 4, GREY)
        canvas.text(x, foot + 19, label, size=13, align="center")
    for series, colour in zip(values, colours, strict=True):
        ys = [foot - (foot - top) * scale.share(value) for value in series]
        points = [(round(x), round(y)) for x, y in zip(xs, ys, strict=True)]
        canvas.draw.line(points, fill=colour, width=2)
        for place, ((x, y), value) in enumerate(zip(points, series, strict=True)):
            canvas.draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
            if unit is not None:
                around = [*series[max(0, place - 1) : place], *series[place + 1 : place + 2]]
                valley = y + 20 < foot and all(value < other for other in around)
                text = written_value(value, unit)
                canvas.text(x, y + 19 if valley else y - 9, text, size=13, align="center")
