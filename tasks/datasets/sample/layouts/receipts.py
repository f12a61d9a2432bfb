"""Till receipts: a narrow strip in a fixed-width face."""

from __future__ import annotations

import random

from pixtrack.tasks.datasets.sample.canvas import GREY, INK, Canvas, random_canvas
from pixtrack.tasks.datasets.sample.questions import (
    Question,
    amount,
    counting,
    extractive,
    sample_pairs,
    superlatives,
    threshold_counts,
    total,
    unanswerable,
    whether,
    which,
)
from pixtrack.tasks.datasets.sample.words import (
    CITIES,
    FIRST_NAMES,
    FOOD_KINDS,
    FOODS,
    PAYMENTS,
    Vocabulary,
)

SIZES = ((272, 480), (288, 464), (288, 496), (304, 448), (320, 432))


def draw(rng: random.Random, words: Vocabulary) -> tuple[Canvas, list[Question]]:
    """A receipt with three to seven lines, most of them one-word goods."""
    canvas = random_canvas(rng, SIZES, ("mono", "mono", "sans"))
    canvas.size = 13
    left, right, centre = 16, canvas.width - 16, canvas.width / 2
    store, city, address = words.company(), words.word(CITIES), words.address()
    date = words.date(words.day())
    time = f"{rng.randint(8, 21):02d}:{rng.randint(0, 59):02d}"
    cashier = words.word(FIRST_NAMES)
    number = words.code()
    payment = rng.choice(PAYMENTS)
    count = rng.randint(3, 7)
    goods = words.words(FOODS, count)
    if rng.random() < 0.5:
        goods[0] = words.pair(FOOD_KINDS, FOODS)
        goods = list(dict.fromkeys(goods))
    quantities = [rng.randint(1, 9) for _ in goods]
    prices = [rng.randint(1, 50) * 50 for _ in goods]

    y = 36
    canvas.text(centre, y, store, bold=True, size=17, align="center")
    for text in (address, city):
        y += 18
        canvas.text(centre, y, text, align="center", colour=GREY if text == address else INK)
    y += 24
    canvas.text(left, y, date[0])
    canvas.text(right, y, time, align="right")
    y += 18
    canvas.text(left, y, f"Receipt {number}")
    canvas.text(right, y, cashier, align="right")
    y = _rule(canvas, y)
    pitch = rng.choice((18, 20, 22)) if canvas.height >= 460 else 18
    for item, quantity, price in zip(goods, quantities, prices, strict=True):
        y += pitch
        canvas.text(left, y, f"{quantity} x")
        canvas.text(left + 42, y, item)
        canvas.text(right, y, f"${price / 100:.2f}", align="right")
    y = _rule(canvas, y)
    paid_cents = sum(prices)
    y += 22
    canvas.text(left, y, "TOTAL", bold=True, size=16)
    canvas.text(right, y, f"${paid_cents / 100:.2f}", bold=True, size=16, align="right")
    y += 20
    canvas.text(left, y, "Paid by")
    canvas.text(right, y, payment, align="right")
    change = rng.randint(0, 30) * 50
    with_change = payment == "Cash"
    if with_change:
        y += 18
        canvas.text(left, y, "Change")
        canvas.text(right, y, f"${change / 100:.2f}", align="right")
    if y + 30 < canvas.height:
        farewell = rng.choice(("Thank you!", "Please come again", "Have a nice day", "Thanks"))
        canvas.text(centre, min(y + 32, canvas.height - 12), farewell, align="center")
    canvas.trim(y + rng.randint(44, 64))

    questions = [
        extractive("What is the name of the store?", store),
        extractive("In which city is the store?", city),
        extractive("What is the address of the store?", address),
        extractive("What is the date of the receipt?", *date, answer_type="date"),
        extractive("At what time was the receipt printed?", time),
        extractive("What is the receipt number?", number, answer_type="number"),
        extractive("Who was the cashier?", cashier),
        extractive("How was the receipt paid?", payment),
        extractive("What is the total?", *amount(paid_cents), answer_type="amount"),
        counting("How many different items were bought?", len(goods)),
        total("How many units were bought in all?", sum(quantities)),
        unanswerable("What is the phone number of the store?"),
        unanswerable("What is the tax rate?"),
        *threshold_counts(
            rng,
            prices,
            lambda bound: f"How many items cost more than ${bound}?",
            unit=100,
        ),
        *superlatives(
            goods,
            prices,
            ("Which item costs the most?", "What is the most expensive item?"),
            ("Which item costs the least?", "What is the cheapest item?"),
        ),
    ]
    if with_change:
        questions.append(
            extractive("How much change was given?", *amount(change), answer_type="amount")
        )
    for item, quantity, price in zip(goods, quantities, prices, strict=True):
        questions += [
            extractive(f"What does {item} cost?", *amount(price), answer_type="amount"),
            extractive(f"How many {item} were bought?", str(quantity), answer_type="number"),
        ]
    for i, j in sample_pairs(rng, len(goods), 3):
        a, b = goods[i], goods[j]
        questions.append(
            total(f"How many units of {a} and {b} were bought?", quantities[i] + quantities[j])
        )
        if prices[i] != prices[j]:
            dearer = a if prices[i] > prices[j] else b
            questions.append(which(f"Which costs more, {a} or {b}?", dearer))
            questions.append(whether(f"Does {a} cost more than {b}?", prices[i] > prices[j]))
    return canvas, questions


def _rule(canvas: Canvas, y: int) -> int:
    """A dashed line below the text at `y`; returns where the next text may follow."""
    y += 10
    for x in range(16, canvas.width - 16, 8):
        canvas.line(x, y, x + 4, y, GREY)
    return y + 2
