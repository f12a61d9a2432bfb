"""Plain data tables: a title, a header, rows with a name and two to four numbers."""

from __future__ import annotations

import random

from pixtrack.tasks.datasets.sample.canvas import (
    ACCENTS,
    GREY,
    INK,
    PALE,
    Canvas,
    random_canvas,
    tint,
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
)
from pixtrack.tasks.datasets.sample.words import (
    CITIES,
    COUNTRIES,
    DEPARTMENTS,
    FIRST_NAMES,
    FOODS,
    MONTHS,
    Vocabulary,
)

SIZES = ((368, 320), (384, 288), (400, 304), (416, 272), (432, 320), (448, 320))
_ROWS = (
    ("City", CITIES),
    ("Country", COUNTRIES),
    ("Department", DEPARTMENTS),
    ("Name", FIRST_NAMES),
    ("Product", FOODS),
)


def draw(rng: random.Random, words: Vocabulary) -> tuple[Canvas, list[Question]]:
    """A table of four to eight rows."""
    canvas = random_canvas(rng, SIZES, ("sans", "serif", "sans"))
    accent = rng.choice(ACCENTS)
    left, right = 20, canvas.width - 20
    heading, names = rng.choice(_ROWS)
    pitch = rng.choice((22, 24, 26))
    most = min(8, (canvas.height - 84) // pitch)
    labels = words.words(names, rng.randint(4, most))
    columns = _columns(rng)
    largest = rng.choice((20, 50, 99, 400))
    values = [[rng.randint(1, largest) for _ in columns] for _ in labels]
    title = words.title()

    canvas.text(left, 36, title, bold=True, size=17, colour=rng.choice((accent, INK)))
    y = 66
    style = rng.choice(("grid", "lines", "stripes"))
    if style != "lines":
        canvas.box(left - 6, y - 17, right + 6, y + 7, fill=tint(accent, 0.2))
    canvas.text(left, y, heading, bold=True)
    first = left + 150
    edges = [
        round(first + (right - first) * (place + 1) / len(columns)) for place in range(len(columns))
    ]
    for x, column in zip(edges, columns, strict=True):
        canvas.text(x, y, column, bold=True, align="right")
    canvas.line(left - 6, y + 7, right + 6, y + 7, accent, 2)
    for line, label in enumerate(labels):
        y += pitch
        if style == "stripes" and line % 2:
            canvas.box(left - 6, y - pitch + 8, right + 6, y + 7, fill=tint(accent, 0.07))
        canvas.text(left, y, label)
        for x, value in zip(edges, values[line], strict=True):
            canvas.text(x, y, str(value), align="right")
        if style == "grid":
            canvas.line(left - 6, y + 7, right + 6, y + 7, PALE)
    canvas.line(left - 6, y + 8, right + 6, y + 8, GREY)
    canvas.trim(y + rng.randint(14, 48))

    noun = heading.lower()
    plural = {"city": "cities", "country": "countries"}.get(noun, f"{noun}s")
    questions = [
        extractive("What is the title of the table?", title),
        extractive(f"Which {noun} is listed first?", labels[0]),
        extractive(f"Which {noun} is listed last?", labels[-1]),
        counting(f"How many {plural} are listed?", len(labels)),
        counting("How many rows does the table have?", len(labels)),
    ]
    missing = rng.choice([name for name in names if name not in labels])
    for place, column in enumerate(columns):
        numbers = [row[place] for row in values]
        questions += [
            *superlatives(
                labels,
                numbers,
                (f"Which {noun} has the highest value in {column}?",),
                (f"Which {noun} has the lowest value in {column}?",),
            ),
            *threshold_counts(
                rng,
                numbers,
                lambda bound, column=column: f"How many {plural} are above {bound} in {column}?",  # type: ignore[misc]
                count=1,
            ),
            unanswerable(f"What is the value of {missing} in {column}?"),
        ]
        for label, number in zip(labels, numbers, strict=True):
            questions.append(
                extractive(
                    f"What is the value of {label} in {column}?", str(number), answer_type="number"
                )
            )
        for i, j in sample_pairs(rng, len(labels), 2):
            a, b = labels[i], labels[j]
            questions.append(whether(f"Is {a} above {b} in {column}?", numbers[i] > numbers[j]))
            if largest <= 50:
                questions.append(
                    total(f"What is the sum of {a} and {b} in {column}?", numbers[i] + numbers[j])
                )
    for line, label in enumerate(labels):
        if largest <= 50:
            a, b = columns[0], columns[1]
            questions.append(
                total(
                    f"What is the sum of {a} and {b} for {label}?",
                    values[line][0] + values[line][1],
                )
            )
    return canvas, questions


def _columns(rng: random.Random) -> list[str]:
    """The headers of two to four neighbouring numeric columns."""
    count = rng.randint(2, 4)
    kind = rng.choice(("years", "months", "quarters", "letters"))
    if kind == "years":
        start = rng.randint(2005, 2024)
        return [str(start + place) for place in range(count)]
    if kind == "months":
        start = rng.randint(0, 12 - count)
        return list(MONTHS[start : start + count])
    if kind == "quarters":
        return [f"Q{place + 1}" for place in range(count)]
    return [f"Part {letter}" if count < 4 else letter for letter in "ABCD"[:count]]
