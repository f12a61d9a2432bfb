"""Cards to plan for."""

from __future__ import annotations

from pixtrack.tasks.environment import Card
from pixtrack.tasks.environment.cards import GIB

MEASURED_H100_BYTES = 81559 << 20


def cards(
    name: str,
    gib: float,
    capability: tuple[int, int] | None,
    count: int = 1,
    free_gib: float | None = None,
) -> list[Card]:
    """`count` equal cards."""
    return [
        Card(
            index=index,
            name=name,
            vendor="iluvatar" if capability is None else "nvidia",
            total_bytes=int(gib * GIB),
            free_bytes=int((gib if free_gib is None else free_gib) * GIB),
            compute_capability=capability,
        )
        for index in range(count)
    ]


def h100(count: int = 1, free_gib: float | None = None) -> list[Card]:
    return cards("NVIDIA H100 80GB HBM3", MEASURED_H100_BYTES / GIB, (9, 0), count, free_gib)


def rtx_4090(count: int = 1) -> list[Card]:
    return cards("NVIDIA GeForce RTX 4090", 23.99, (8, 9), count)


def v100() -> list[Card]:
    return cards("Tesla V100-SXM2-32GB", 31.74, (7, 0))


def t4() -> list[Card]:
    return cards("Tesla T4", 14.75, (7, 5))


def mr_v100(count: int) -> list[Card]:
    return cards("Iluvatar MR-V100", 32, None, count)
