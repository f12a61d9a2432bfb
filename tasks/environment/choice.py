"""Chooses the model where the user named none."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_all
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.environment.cards import GIB, Card
from pixtrack.tasks.environment.detection import detect
from pixtrack.tasks.environment.estimate import COMFORTABLE_REQUESTS
from pixtrack.tasks.environment.memory import plan_memory
from pixtrack.tasks.environment.versions import engine_platform

SMALL = ("pixtral-nano", "pixtral-random")
"""Checkpoints for machines without a card; the first configured one is used."""


def choose_model(
    cards: Sequence[Card] | None = None, models: Sequence[ModelConfig] | None = None
) -> tuple[str, str]:
    """Chooses the largest configured Pixtral that fits on the cards, else a small checkpoint.

    Args:
        cards: None: those of this machine that the installed engine can use
        models: the candidates; None: every configured model

    Returns:
        the name, and the reason in one line for the user
    """
    if cards is None:
        cards = () if engine_platform() == "cpu" else detect().cards
    if models is None:
        models, broken = load_all(ModelConfig)
        for error in broken:
            logging.getLogger(__name__).warning("%s: left out of the choice of a model", error)
    candidates = sorted(
        (
            m
            for m in models
            if m.family == "pixtral"
            and m.weights == "trained"
            and m.source.kind in ("hub", "local")
            and m.parameters_billions >= 1
        ),
        key=lambda m: (-m.parameters_billions, m.format != "mistral", m.name),
    )
    where = (
        f"{len(cards)} × {cards[0].name} ({cards[0].total_bytes / GIB:.0f} GiB)"
        if cards
        else "no GPU"
    )
    fitting = []
    for model in candidates if cards else []:
        try:
            plan = plan_memory(model, None, cards)
        except UserError:
            continue  # without dimensions it cannot be planned before it is downloaded
        if plan.fits:
            fitting.append((model, plan))
    # A model that leaves room for a few images at once is preferred to a larger one that does not.
    roomy = [model for model, plan in fitting if plan.images_in_flight >= COMFORTABLE_REQUESTS]
    if fitting:
        name = (roomy or [model for model, _ in fitting])[0].name
        return name, f"the largest Pixtral for {where}"
    known = {m.name for m in models}
    small = next((name for name in SMALL if name in known), None)
    if small is None:
        raise UserError("no model named, and no small checkpoint is configured: give --model NAME")
    weights = next(m.weights for m in models if m.name == small)
    noise = ", RANDOM WEIGHTS: its answers are noise" if weights == "random" else ""
    why = "no configured Pixtral fits" if cards else "the small checkpoint runs on the CPU"
    return small, f"{where}; {why}{noise}"
