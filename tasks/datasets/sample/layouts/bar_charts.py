"""Bar charts: upright or lying bars, one series or two."""

from __future__ import annotations

import random

from pixtrack.tasks.datasets.sample.canvas import INK, PALE, SERIES, Canvas, random_canvas
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
from pixtrack.tasks.datasets.sample.words import (
    CITIES,
    COUNTRIES,
    FOODS,
    HOBBIES,
    LANGUAGES,
    MONTHS,
    Vocabulary,
)

SIZES = ((352, 320), (384, 304), (400, 320), (416, 304), (432, 288), (448, 320))
_LABELS = (CITIES, COUNTRIES, FOODS, HOBBIES, LANGUAGES, MONTHS)


def draw(rng: random.Random, words: Vocabulary) -> tuple[Canvas, list[Question]]:
    """A chart of three to six groups; two series in a third of the upright charts."""
    canvas = random_canvas(rng, SIZES, ("sans",))
    title, unit, scale = words.title(), rng.choice(UNITS), random_scale(rng)
    lying = rng.random() < 0.35
    written = rng.random() < 0.6
    short = [[label for label in labels if len(label) <= 7] for labels in _LABELS]
    pool = rng.choice(_LABELS if lying else short)
    count = rng.randint(3, 6 if lying else 5)
    labels = words.words(pool, count)
    series = [""]
    if not lying and not written and rng.random() < 0.5:
        start = rng.randint(2005, 2028)
        series = [str(start), str(start + 1)]
    values = [random_values(rng, scale, count, written) for _ in series]
    colours = rng.sample(SERIES, len(series))
    draw_title(canvas, rng, title, unit)
    if lying:
        _lying(canvas, labels, values[0], scale, colours[0], unit if written else None)
    else:
        grid = not written or rng.random() < 0.6
        _upright(canvas, labels, values, scale, colours, unit if written else None, grid)
        if len(series) > 1:
            draw_legend(canvas, series, colours)

    missing = rng.choice([label for label in pool if label not in labels])
    questions = [
        extractive("What is the title of the chart?", title),
        counting(
            "How many bars are shown?"
            if len(series) == 1
            else "How many groups of bars are shown?",
            count,
        ),
    ]
    if unit:
        questions.append(
            extractive("In which unit are the values given?", *dict.fromkeys((_unit(unit), unit)))
        )
    for name, numbers in zip(series, values, strict=True):
        when = f" in {name}" if name else ""
        questions += [
            unanswerable(f"What is the value of {missing}{when}?"),
            *superlatives(
                labels,
                numbers,
                (f"Which bar is the highest{when}?", f"What has the largest value{when}?"),
                (f"Which bar is the lowest{when}?", f"What has the smallest value{when}?"),
            ),
            *threshold_counts(
                rng,
                numbers,
                lambda bound, when=when: f"How many bars are above {bound}{when}?",  # type: ignore[misc]
            ),
        ]
        for label, number in zip(labels, numbers, strict=True):
            questions.append(
                extractive(
                    f"What is the value of {label}{when}?",
                    *with_unit(number, unit),
                    answer_type="number",
                )
            )
        for i, j in sample_pairs(rng, count, 3):
            a, b = labels[i], labels[j]
            questions += [
                total(f"What is the sum of {a} and {b}{when}?", numbers[i] + numbers[j], unit),
                whether(f"Is {a} higher than {b}{when}?", numbers[i] > numbers[j]),
            ]
    if len(series) > 1:
        for place, label in enumerate(labels):
            before, after = values[0][place], values[1][place]
            questions.append(
                whether(f"Is {label} higher in {series[1]} than in {series[0]}?", after > before)
            )
    return canvas, questions


def _unit(unit: str) -> str:
    return {"%": "percent", "$": "dollars"}.get(unit, unit)


def _upright(
    canvas: Canvas,
    labels: list[str],
    values: list[list[int]],
    scale: Scale,
    colours: list[tuple[int, int, int]],
    unit: str | None,
    grid: bool,
) -> None:
    x0, x1, top = 48, canvas.width - 14, 72
    foot = canvas.height - (52 if len(values) > 1 else 32)
    draw_value_axis(canvas, scale, x0, x1, foot, top, grid)
    pitch = (x1 - x0) / len(labels)
    bar = pitch * 0.64 / len(values)
    for place, label in enumerate(labels):
        centre = x0 + pitch * (place + 0.5)
        canvas.text(centre, foot + 18, label, size=13, align="center")
        for number, (series, colour) in enumerate(zip(values, colours, strict=True)):
            left = centre - bar * len(values) / 2 + bar * number
            y = foot - (foot - top) * scale.share(series[place])
            canvas.box(left, y, left + bar - 2, foot - 1, fill=colour)
            if unit is not None:
                text = written_value(series[place], unit)
                canvas.text(centre, round(y) - 4, text, size=13, align="center")


def _lying(
    canvas: Canvas,
    labels: list[str],
    values: list[int],
    scale: Scale,
    colour: tuple[int, int, int],
    unit: str | None,
) -> None:
    x0 = 24 + round(max(canvas.measure(label, size=13) for label in labels))
    x1, top, foot = canvas.width - 56, 62, canvas.height - 34
    pitch = (foot - top) / len(labels)
    for value in range(0, scale.top + 1, scale.step):
        x = x0 + (x1 - x0) * scale.share(value)
        canvas.line(x, top, x, foot, PALE)
        canvas.text(x, foot + 18, str(value), size=13, align="center")
    for place, (label, value) in enumerate(zip(labels, values, strict=True)):
        middle = top + pitch * (place + 0.5)
        end = x0 + (x1 - x0) * scale.share(value)
        canvas.box(x0, middle - pitch * 0.32, end, middle + pitch * 0.32, fill=colour)
        canvas.text(x0 - 8, round(middle) + 5, label, size=13, align="right")
        if unit is not None:
            canvas.text(end + 5, round(middle) + 5, written_value(value, unit), size=13)
    canvas.line(x0, top, x0, foot, INK)
