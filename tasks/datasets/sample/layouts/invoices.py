"""Invoices: letterhead, addressee, a table of line items, totals."""

from __future__ import annotations

import datetime
import random

from pixtrack.tasks.datasets.sample.canvas import ACCENTS, GREY, PALE, Canvas, random_canvas, tint
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
)
from pixtrack.tasks.datasets.sample.words import ADJECTIVES, CITIES, NOUNS, Vocabulary

SIZES = ((352, 416), (368, 384), (384, 384), (400, 368), (448, 320))


def draw(rng: random.Random, words: Vocabulary) -> tuple[Canvas, list[Question]]:
    """An invoice with two to six line items (fewer on a low page)."""
    canvas = random_canvas(rng, SIZES, ("sans", "serif"))
    accent = rng.choice(ACCENTS)
    margin, right = 16, canvas.width - 16
    company, customer = words.company(), words.person()
    address, city = words.address(), words.word(CITIES)
    number = words.code(rng.choice(("INV-", "", "A-", "R")))
    day = words.day()
    issued = words.date(day)
    due = words.date(day + datetime.timedelta(days=rng.randint(7, 60)))
    most = 6 if canvas.height >= 368 else 4
    items = words.pairs(ADJECTIVES, NOUNS, rng.randint(2, most))
    quantities = [rng.randint(1, 20) for _ in items]
    prices = [rng.randint(1, 160) * 25 for _ in items]
    amounts = [quantity * price for quantity, price in zip(quantities, prices, strict=True)]

    y = 34
    if rng.random() < 0.5:
        canvas.box(0, 0, canvas.width, 48, fill=accent)
        canvas.text(margin, y, company, bold=True, size=18, colour=(255, 255, 255))
        canvas.text(right, y, "INVOICE", size=15, colour=(255, 255, 255), align="right")
    else:
        canvas.text(margin, y, company, bold=True, size=18, colour=accent)
        canvas.text(right, y, "INVOICE", size=15, colour=GREY, align="right")
        canvas.line(margin, 46, right, 46, accent, 2)

    left_lines = ("Bill to:", customer, address, city)
    right_lines = (
        ("Invoice no.", number),
        ("Date", issued[0]),
        ("Due date", due[0]),
    )
    y = 70
    for line, text in enumerate(left_lines):
        canvas.text(
            margin,
            y + 18 * line,
            text,
            bold=line == 0,
            colour=accent if line == 0 else (24, 24, 28),
        )
    column = canvas.width // 2 + rng.randint(-4, 12)
    for line, (label, text) in enumerate(right_lines):
        canvas.text(column, y + 18 * line, label, colour=GREY)
        canvas.text(right, y + 18 * line, text, align="right")

    y = 156
    edges = (right - 150, right - 78, right)
    canvas.box(margin - 4, y - 15, right + 4, y + 6, fill=tint(accent, 0.18))
    canvas.text(margin, y, "Description", bold=True)
    for x, label in zip(edges, ("Qty", "Price", "Amount"), strict=True):
        canvas.text(x, y, label, bold=True, align="right")
    pitch = rng.choice((20, 22))
    striped = rng.random() < 0.4
    for line, item in enumerate(items):
        y += pitch
        if striped and line % 2:
            canvas.box(margin - 4, y - 15, right + 4, y + 5, fill=tint(accent, 0.06))
        canvas.text(margin, y, item)
        canvas.text(edges[0], y, str(quantities[line]), align="right")
        canvas.text(edges[1], y, f"{prices[line] / 100:.2f}", align="right")
        canvas.text(edges[2], y, f"{amounts[line] / 100:.2f}", align="right")
    canvas.line(margin, y + 8, right, y + 8, PALE)
    subtotal = sum(amounts)
    rate = rng.choice((5, 8, 10, 15, 20))
    tax = round(subtotal * rate / 100)
    y += 26
    for label, value, bold in (
        ("Subtotal", subtotal, False),
        (f"Tax ({rate}%)", tax, False),
        ("Total", subtotal + tax, True),
    ):
        canvas.text(right - 96, y, label, bold=bold, align="right")
        canvas.text(right, y, f"${value / 100:.2f}", bold=bold, align="right")
        y += 18
    canvas.trim(y + rng.randint(0, 30))

    questions = [
        extractive("What is the invoice number?", number),
        extractive("Which company issued the invoice?", company),
        extractive("What is the name of the company?", company),
        extractive("Who is billed?", customer),
        extractive("What is the name of the customer?", customer),
        extractive("What is the date of the invoice?", *issued, answer_type="date"),
        extractive("When is the invoice due?", *due, answer_type="date"),
        extractive("In which city does the customer live?", city),
        extractive("What is the address of the customer?", address),
        extractive("What is the total?", *amount(subtotal + tax), answer_type="amount"),
        extractive("What is the subtotal?", *amount(subtotal), answer_type="amount"),
        extractive("What is the amount of tax?", *amount(tax), answer_type="amount"),
        extractive("What is the tax rate?", f"{rate}%", str(rate), answer_type="number"),
        unanswerable("What is the phone number of the company?"),
        unanswerable("What is the discount?"),
        counting("How many items are listed?", len(items)),
        total("What is the total quantity of all items?", sum(quantities)),
        *threshold_counts(
            rng, quantities, lambda bound: f"How many items have a quantity above {bound}?"
        ),
        *superlatives(
            items,
            quantities,
            ("Which item has the largest quantity?",),
            ("Which item has the smallest quantity?",),
        ),
        *superlatives(
            items,
            prices,
            ("Which item has the highest price?",),
            ("Which item has the lowest price?",),
        ),
        *superlatives(
            items,
            amounts,
            ("Which item has the largest amount?",),
            ("Which item has the smallest amount?",),
        ),
    ]
    for item, quantity, price, cost in zip(items, quantities, prices, amounts, strict=True):
        questions += [
            extractive(f"What is the quantity of {item}?", str(quantity), answer_type="number"),
            extractive(f"What is the price of {item}?", *_plain(price), answer_type="amount"),
            extractive(f"What is the amount for {item}?", *_plain(cost), answer_type="amount"),
        ]
    for i, j in sample_pairs(rng, len(items), 3):
        a, b = items[i], items[j]
        questions += [
            total(f"What is the quantity of {a} and {b} together?", quantities[i] + quantities[j]),
            whether(f"Does {a} have a higher price than {b}?", prices[i] > prices[j]),
            whether(
                f"Is the quantity of {a} greater than that of {b}?", quantities[i] > quantities[j]
            ),
        ]
    return canvas, questions


def _plain(cents: int) -> tuple[str, ...]:
    """A price that the page writes without the currency sign."""
    return (f"{cents / 100:.2f}", f"${cents / 100:.2f}")
