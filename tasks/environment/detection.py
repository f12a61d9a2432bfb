"""Finds the accelerator cards of this machine: NVIDIA's by NVML, Iluvatar CoreX's by ixsmi."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pixtrack.tasks.environment import smi
from pixtrack.tasks.environment.cards import Accelerators, Card, CardProcess, process_name


def detect() -> Accelerators:
    """The cards that an engine would see. Never raises; takes a few milliseconds with NVML."""
    nvidia = _nvml()
    if nvidia is None:
        nvidia = smi.nvidia()
    if nvidia.cards:
        return _visible(nvidia, ("CUDA_VISIBLE_DEVICES",))
    corex = smi.corex()
    if corex.cards:
        return _visible(corex, ("IX_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"))
    return Accelerators(troubles=nvidia.troubles + corex.troubles)


def _nvml() -> Accelerators | None:
    """The cards by NVIDIA's library; None where nvidia-ml-py is not installed."""
    try:
        import pynvml as nvml
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        # Without the library or a device node this is simply a machine without such a card.
        absent = (nvml.NVML_ERROR_LIBRARY_NOT_FOUND, nvml.NVML_ERROR_DRIVER_NOT_LOADED)
        if getattr(error, "value", None) in absent:
            return Accelerators()
        return Accelerators(troubles=(f"NVML: {error}",))
    try:
        cards, troubles = [], []
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                cards.append(_nvml_card(nvml, index))
            except nvml.NVMLError as error:
                troubles.append(f"card {index}: NVML: {error}")
        version = nvml.nvmlSystemGetCudaDriverVersion_v2()
        return Accelerators(
            cards=tuple(cards),
            driver=_text(nvml.nvmlSystemGetDriverVersion()),
            runtime=f"{version // 1000}.{version % 1000 // 10}",
            vendor="nvidia",
            troubles=tuple(troubles),
        )
    except nvml.NVMLError as error:
        return Accelerators(troubles=(f"NVML: {error}",))
    finally:
        nvml.nvmlShutdown()


def _nvml_card(nvml: Any, index: int) -> Card:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:  # not permitted in some containers; the card itself is fine
        running = []
    return Card(
        index=index,
        name=_text(nvml.nvmlDeviceGetName(handle)),
        vendor="nvidia",
        total_bytes=memory.total,
        free_bytes=memory.free,
        compute_capability=tuple(nvml.nvmlDeviceGetCudaComputeCapability(handle)),
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        processes=tuple(CardProcess(p.pid, process_name(p.pid), p.usedGpuMemory) for p in running),
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _visible(found: Accelerators, variables: Sequence[str]) -> Accelerators:
    """Applies the variable that selects cards: visible ones in its order, the others as hidden.

    Args:
        found: all cards
        variables: names of variables; the first that is set counts
    """
    chosen = next((os.environ[name] for name in variables if name in os.environ), None)
    if chosen is None:
        return found
    by_index = {str(card.index): card for card in found.cards}
    visible: list[Card] = []
    troubles = list(found.troubles)
    # An empty value hides every card.
    for part in (part.strip() for part in chosen.split(",")):
        if part.upper().startswith("MIG-"):
            troubles.append(
                f"{part}: a slice of a card (MIG), whose memory cannot be planned here: name a "
                "whole card in CUDA_VISIBLE_DEVICES, or give vLLM gpu_memory_utilization and "
                "max_model_len with --engine"
            )
            break
        card = by_index.get(part) or next(
            (c for c in found.cards if part and c.uuid.startswith(part)), None
        )
        if card is None:
            break  # CUDA itself ignores what follows an unknown device
        visible.append(card)
    return Accelerators(
        cards=tuple(visible),
        driver=found.driver,
        runtime=found.runtime,
        vendor=found.vendor,
        troubles=tuple(troubles),
        hidden=tuple(card for card in found.cards if card not in visible),
    )
