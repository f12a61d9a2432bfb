"""The layouts: each draws a page and returns it with every question that can be asked about it."""

from __future__ import annotations

import random
from collections.abc import Callable

from pixtrack.tasks.datasets.sample.canvas import Canvas
from pixtrack.tasks.datasets.sample.layouts.bar_charts import draw as draw_bar_chart
from pixtrack.tasks.datasets.sample.layouts.forms import draw as draw_form
from pixtrack.tasks.datasets.sample.layouts.invoices import draw as draw_invoice
from pixtrack.tasks.datasets.sample.layouts.line_charts import draw as draw_line_chart
from pixtrack.tasks.datasets.sample.layouts.receipts import draw as draw_receipt
from pixtrack.tasks.datasets.sample.layouts.tables import draw as draw_table
from pixtrack.tasks.datasets.sample.questions import Question
from pixtrack.tasks.datasets.sample.words import Vocabulary

Layout = Callable[[random.Random, Vocabulary], tuple[Canvas, list[Question]]]

LAYOUTS: dict[str, Layout] = {
    "invoice": draw_invoice,
    "form": draw_form,
    "receipt": draw_receipt,
    "table": draw_table,
    "bar chart": draw_bar_chart,
    "line chart": draw_line_chart,
}
