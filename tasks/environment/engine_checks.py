"""Checks of the cards and the engine: driver, runtime, compute capability, precision, vLLM."""

from __future__ import annotations

import re

from pixtrack.tasks.environment.cards import GIB, Accelerators, Card
from pixtrack.tasks.environment.report import Check, failed, ok, warning
from pixtrack.tasks.environment.versions import (
    InterpreterFailed,
    engine_platform,
    engine_python,
    installed,
    interpreter,
)

LEAST_CUDA = (11, 8)
LEAST_CAPABILITY = (7, 0)
TESTED_COREX = ("4.2.0", "4.3.0")
"""SDK versions of the vendor's Pixtral recipe."""
HELD_BYTES = GIB
"""Memory that other processes may hold on a card without a warning."""

INSTALL_CPU = "pip install 'pixtrack[cpu]'"
INSTALL_CUDA = "pip install 'pixtrack[cuda]'"


def engine(found: Accelerators) -> Check:
    """Whether vLLM is installed for the engine's interpreter, and whether it suits the cards."""
    try:
        facts = interpreter()
    except InterpreterFailed as error:
        return failed("engine", str(error), "correct PIXTRACK_VLLM_PYTHON, or unset it")
    packages = installed()
    where = f"Python {facts['python']} ({facts['executable']})"
    if not facts["importable"] or "vllm" not in packages:
        install = INSTALL_CUDA if found.vendor == "nvidia" and found.cards else INSTALL_CPU
        if found.vendor == "iluvatar":
            install = "install the vendor's torch and vllm from the CoreX SDK"
        return failed(
            "engine",
            f"vLLM is not installed under {where}",
            f"{install}, set PIXTRACK_VLLM_PYTHON to an interpreter that has it, or use an endpoint",
        )
    kind = engine_platform()
    detail = f"vLLM {packages['vllm']} for {_KINDS[kind]}, torch {packages.get('torch', 'missing')}, {where}"
    if "torch" not in packages:
        return failed("engine", detail, f"install torch for {engine_python()}")
    if kind == "cpu" and found.cards:
        return warning(
            "engine",
            f"{detail}; the cards are not used",
            f"{INSTALL_CUDA} into another environment and set PIXTRACK_VLLM_PYTHON to its python",
        )
    if kind == "cuda" and not found.cards:
        return failed(
            "engine",
            f"{detail}; no NVIDIA card is visible",
            f"{INSTALL_CPU} for the CPU engine, or use an endpoint; in a container pass --gpus all",
        )
    return ok("engine", detail)


_KINDS = {"cpu": "CPU", "cuda": "CUDA", "corex": "Iluvatar CoreX"}


def accelerators(found: Accelerators) -> list[Check]:
    """One check for driver and runtime and one for every card; a single one without cards."""
    checks = [
        failed("cards", trouble, "repair the driver (run the tool by hand), or use an endpoint")
        for trouble in found.troubles
    ]
    if not found.cards:
        if found.hidden:
            checks.append(
                warning(
                    "cards",
                    f"all {len(found.hidden)} are hidden by CUDA_VISIBLE_DEVICES",
                    "unset it, or name the cards to use",
                )
            )
        elif not checks:
            checks.append(
                ok("cards", "no GPU here: the CPU engine (small models) or an endpoint answers")
            )
        return checks
    checks.append(_nvidia(found) if found.vendor == "nvidia" else _corex(found))
    checks += [_card(card) for card in found.cards]
    checks.append(precision(found.cards))
    return checks


def _nvidia(found: Accelerators) -> Check:
    detail = f"driver {found.driver}, CUDA runtime up to {found.runtime or 'unknown'}"
    version = _version(found.runtime)
    if version and version < LEAST_CUDA:
        return failed("driver", detail, "vLLM needs CUDA 11.8 or newer: update the NVIDIA driver")
    if not version:
        return warning("driver", detail, "the CUDA version is unknown: it must be 11.8 or newer")
    return ok("driver", detail)


def _corex(found: Accelerators) -> Check:
    packages = installed()
    builds = ", ".join(f"{name} {packages[name]}" for name in ("torch", "vllm") if name in packages)
    detail = (
        f"driver {found.driver}, CoreX SDK {found.runtime or 'unknown'}, {builds or 'no torch'}"
    )
    foreign = [
        name
        for name in ("torch", "vllm")
        if name in packages and "corex" not in packages[name] and "cpu" not in packages[name]
    ]
    if foreign:
        return failed(
            "driver",
            detail,
            f"{' and '.join(foreign)} is not the vendor's build: install the CoreX SDK's own again",
        )
    if not found.runtime.startswith(TESTED_COREX):
        return warning(
            "driver",
            detail,
            f"the vendor tested its Pixtral recipe with SDK {' and '.join(TESTED_COREX)}",
        )
    return ok("driver", detail)


def _card(card: Card) -> Check:
    free = "free memory unknown"
    if card.free_bytes is not None:
        free = f"{card.free_bytes / GIB:.1f} GiB free"
    capability = ""
    if card.compute_capability is not None:
        capability = ", compute capability {}.{}".format(*card.compute_capability)
    name = f"card {card.index}"
    detail = f"{card.name}, {card.total_bytes / GIB:.1f} GiB, {free}{capability}"
    if card.compute_capability is not None and card.compute_capability < LEAST_CAPABILITY:
        return failed(
            name, detail, "vLLM needs compute capability 7.0 (V100, T4, RTX 20xx) or newer"
        )
    held = card.total_bytes - card.free_bytes if card.free_bytes is not None else 0
    if held > HELD_BYTES:
        who = "; ".join(
            f"pid {p.pid}"
            + (f" ({p.name})" if p.name else "")
            + (f" {p.used_bytes / GIB:.1f} GiB" if p.used_bytes else "")
            for p in card.processes
        )
        return warning(
            name,
            f"{detail}; held by {who or 'processes that this user may not see'}",
            "end them, or choose other cards with CUDA_VISIBLE_DEVICES",
        )
    return ok(name, detail)


def precision(cards: tuple[Card, ...]) -> Check:
    """Whether the cards compute in bfloat16, and the consequence where not."""
    without = sorted({card.name for card in cards if not card.bfloat16})
    if without:
        return warning(
            "precision",
            f"{', '.join(without)}: no bfloat16 (compute capability below 8.0), so float16",
            "answers can differ from published bfloat16 scores, and very large activations "
            "overflow; use a card of the Ampere generation or newer to compare",
        )
    return ok("precision", "bfloat16")


def _version(text: str) -> tuple[int, int] | None:
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match.group(1)), int(match.group(2))) if match else None
