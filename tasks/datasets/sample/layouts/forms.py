"""Filled-in forms: labelled fields, tick boxes, two numbers to add or compare."""

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
    total,
    unanswerable,
    whether,
    which,
)
from pixtrack.tasks.datasets.sample.words import (
    CITIES,
    COUNTRIES,
    DEPARTMENTS,
    HOBBIES,
    JOBS,
    LANGUAGES,
    Vocabulary,
)

SIZES = ((352, 416), (368, 400), (384, 384), (400, 368))
_TITLES = ("Application", "Registration", "Membership", "Enrolment", "Request", "Visitor")
_NUMBERS = (
    ("Adults", "Children", "people"),
    ("Teachers", "Students", "people"),
    ("Cars", "Bikes", "vehicles"),
    ("Cats", "Dogs", "animals"),
    ("Tables", "Chairs", "pieces"),
    ("Letters", "Parcels", "things"),
)
_CHOICES = (("Hobbies", HOBBIES), ("Languages", LANGUAGES))


def draw(rng: random.Random, words: Vocabulary) -> tuple[Canvas, list[Question]]:
    """A form with four to six fields, four to six tick boxes and a pair of numbers."""
    canvas = random_canvas(rng, SIZES, ("sans", "serif", "sans"))
    accent = rng.choice(ACCENTS)
    left, right = 18, canvas.width - 18
    company, title = words.company(), rng.choice(_TITLES)
    name, born = words.person(), words.date(words.day(1950, 2008))
    contact = words.person()
    fields = [("Name", name), ("Date of birth", born[0])]
    optional = [
        ("City", words.word(CITIES)),
        ("Country", words.word(COUNTRIES)),
        ("Occupation", words.word(JOBS)),
        ("Department", words.word(DEPARTMENTS)),
        ("Phone", words.phone()),
        ("Contact", contact),
        ("Address", words.address()),
        ("Member no.", words.code()),
    ]
    fields += rng.sample(optional, rng.randint(2, 4))
    written = dict(fields)

    canvas.text(left, 34, f"{title} Form", bold=True, size=18, colour=accent)
    canvas.text(left, 56, company, colour=GREY)
    canvas.line(left, 64, right, 64, accent, 2)
    y = 64
    boxed = rng.random() < 0.5
    column = left + 112
    for label, value in fields:
        y += 26
        canvas.text(left, y, label, colour=GREY if boxed else INK)
        if boxed:
            canvas.box(column - 6, y - 16, right, y + 6, fill=(255, 255, 255), outline=PALE)
        else:
            canvas.line(column - 4, y + 5, right, y + 5, PALE)
        canvas.text(column, y, value)

    first, second, together = rng.choice(_NUMBERS)
    a, b = rng.randint(0, 12), rng.randint(0, 12)
    y += 32
    canvas.text(left, y, first)
    canvas.box(left + 72, y - 16, left + 108, y + 6, fill=(255, 255, 255), outline=GREY)
    canvas.text(left + 90, y, str(a), align="center")
    middle = canvas.width // 2 + 4
    canvas.text(middle, y, second)
    canvas.box(middle + 76, y - 16, middle + 112, y + 6, fill=(255, 255, 255), outline=GREY)
    canvas.text(middle + 94, y, str(b), align="center")

    heading, choices = rng.choice(_CHOICES)
    options = words.words(choices, rng.choice((4, 6)))
    ticked = [rng.random() < 0.5 for _ in options]
    y += 30
    canvas.box(left - 4, y - 15, right + 4, y + 5, fill=tint(accent, 0.15))
    canvas.text(left, y, heading, bold=True)
    for place, (option, tick) in enumerate(zip(options, ticked, strict=True)):
        x = left + (place % 2) * (canvas.width // 2 - 10)
        row = y + 24 + 24 * (place // 2)
        _tick_box(canvas, x, row, tick, rng.random() < 0.5)
        canvas.text(x + 24, row, option)
    canvas.trim(row + rng.randint(14, 48))

    questions = [
        extractive("What is the name on the form?", name),
        extractive("Who filled in the form?", name),
        extractive("What is the date of birth?", *born, answer_type="date"),
        extractive("Which company is the form for?", company),
        extractive("What is the title of the form?", f"{title} Form", title),
        extractive(f"How many {first.lower()} are entered?", str(a), answer_type="number"),
        extractive(f"How many {second.lower()} are entered?", str(b), answer_type="number"),
        total(f"How many {together} are there in all?", a + b),
        total(f"What is the sum of {first.lower()} and {second.lower()}?", a + b),
        counting(f"How many {heading.lower()} are ticked?", sum(ticked)),
        counting("How many boxes are ticked?", sum(ticked)),
        counting(f"How many {heading.lower()} are offered?", len(options)),
        counting("How many boxes are not ticked?", len(options) - sum(ticked)),
        whether(f"Are there more {first.lower()} than {second.lower()}?", a > b),
        whether(f"Are there more {second.lower()} than {first.lower()}?", b > a),
        whether("Are more boxes ticked than not?", sum(ticked) > len(ticked) / 2),
    ]
    if a != b:
        more, fewer = (first, second) if a > b else (second, first)
        questions += [
            which(f"Which is more, {first.lower()} or {second.lower()}?", more),
            which(f"Which is fewer, {first.lower()} or {second.lower()}?", fewer),
        ]
    asked = {
        "City": "What is the city?",
        "Country": "What is the country?",
        "Occupation": "What is the occupation?",
        "Department": "What is the department?",
        "Phone": "What is the phone number?",
        "Contact": "Who is the contact?",
        "Address": "What is the address?",
        "Member no.": "What is the member number?",
    }
    for label, question in asked.items():
        if label in written:
            questions.append(extractive(question, written[label]))
        else:
            questions.append(unanswerable(question))
    for option, tick in zip(options, ticked, strict=True):
        questions.append(
            Question(f"Is {option} ticked?", ("yes" if tick else "no",), "extractive", "yes/no")
        )
    return canvas, questions


def _tick_box(canvas: Canvas, x: int, baseline: int, ticked: bool, cross: bool) -> None:
    top, bottom, side = baseline - 12, baseline + 1, 13
    canvas.box(x, top, x + side, bottom, fill=(255, 255, 255), outline=INK)
    if not ticked:
        return
    if cross:
        canvas.line(x + 3, top + 3, x + side - 3, bottom - 3, INK, 2)
        canvas.line(x + 3, bottom - 3, x + side - 3, top + 3, INK, 2)
    else:
        canvas.line(x + 3, top + 6, x + 6, bottom - 3, INK, 2)
        canvas.line(x + 6, bottom - 3, x + side - 2, top + 2, INK, 2)
