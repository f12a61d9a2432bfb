"""The pages of the site that are made from the code, as it is when the site is built."""

from __future__ import annotations

from collections.abc import Callable

from docs.pages import architecture, catalogue, commands, configuration, messages, metrics

PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands.page,
    "reference/configuration.md": configuration.page,
    "reference/datasets.md": catalogue.datasets,
    "reference/models.md": catalogue.models,
    "reference/prompts.md": catalogue.prompts,
    "reference/metrics.md": metrics.page,
    "reference/messages.md": messages.page,
    "reference/imports.md": architecture.page,
    "reference/imports.svg": architecture.picture,
}
"""A page's place in the site to what writes it."""
