from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixtrack.tasks.environment import smi
from pixtrack.tasks.environment.cards import GIB, Accelerators
from pixtrack.tasks.environment.detection import detect

FAKES = Path(__file__).parents[2] / "doubles" / "fake_smi"


class FakeNvmlError(Exception):
    def __init__(self, value: int, text: str) -> None:
        super().__init__(text)
        self.value = value


def fake_nvml(count: int = 2, **changes: Any) -> SimpleNamespace:
    """NVIDIA's library with `count` H100; `changes` replace its functions."""

    def raiser(error: Exception) -> Any:
        def function(*_: object) -> None:
            raise error

        return function

    functions: dict[str, Any] = {
        "NVMLError": FakeNvmlError,
        "NVML_ERROR_LIBRARY_NOT_FOUND": 12,
        "NVML_ERROR_DRIVER_NOT_LOADED": 9,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: count,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=80 * GIB, free=79 * GIB),
        "nvmlDeviceGetComputeRunningProcesses": lambda _: [
            SimpleNamespace(pid=os.getpid(), usedGpuMemory=GIB)
        ],
        "nvmlDeviceGetName": lambda _: b"NVIDIA H100 80GB HBM3",
        "nvmlDeviceGetCudaComputeCapability": lambda _: (9, 0),
        "nvmlDeviceGetUUID": lambda index: f"GPU-{index}{index}{index}",
        "nvmlSystemGetCudaDriverVersion_v2": lambda: 12040,
        "nvmlSystemGetDriverVersion": lambda: "550.54.15",
    }
    for name, change in changes.items():
        functions[name] = raiser(change) if isinstance(change, Exception) else change
    return SimpleNamespace(**functions)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("CUDA_VISIBLE_DEVICES", "IX_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(smi, "COREX_ROOT", tmp_path / "none")
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml())
    return monkeypatch


def test_nvml_tells_cards_driver_runtime_and_processes(machine: pytest.MonkeyPatch) -> None:
    found = detect()
    assert (found.driver, found.runtime, found.vendor) == ("550.54.15", "12.4", "nvidia")
    assert [c.name for c in found.cards] == ["NVIDIA H100 80GB HBM3"] * 2
    (process,) = found.cards[0].processes
    assert process.pid == os.getpid()
    assert "py" in process.name
    assert found.cards[0].bfloat16


@pytest.mark.parametrize("code", [9, 12])
def test_no_library_and_no_driver_are_an_ordinary_machine(
    machine: pytest.MonkeyPatch, code: int
) -> None:
    machine.setitem(sys.modules, "pynvml", fake_nvml(nvmlInit=FakeNvmlError(code, "absent")))
    assert detect() == Accelerators()


def test_another_failure_of_nvml_is_a_trouble(machine: pytest.MonkeyPatch) -> None:
    mismatch = FakeNvmlError(18, "Driver/library version mismatch")
    machine.setitem(sys.modules, "pynvml", fake_nvml(nvmlInit=mismatch))
    assert detect().troubles == ("NVML: Driver/library version mismatch",)


def test_one_card_that_fails_does_not_hide_the_others(machine: pytest.MonkeyPatch) -> None:
    def memory(index: int) -> SimpleNamespace:
        if index == 1:
            raise FakeNvmlError(15, "GPU is lost")
        return SimpleNamespace(total=80 * GIB, free=80 * GIB)

    machine.setitem(sys.modules, "pynvml", fake_nvml(nvmlDeviceGetMemoryInfo=memory))
    found = detect()
    assert len(found.cards) == 1
    assert found.troubles == ("card 1: NVML: GPU is lost",)


def test_processes_that_may_not_be_listed_leave_the_card(machine: pytest.MonkeyPatch) -> None:
    refused = FakeNvmlError(4, "Insufficient Permissions")
    machine.setitem(sys.modules, "pynvml", fake_nvml(nvmlDeviceGetComputeRunningProcesses=refused))
    assert len(detect().cards) == 2


@pytest.mark.parametrize(
    ("chosen", "indices"),
    [
        ("1", [1]),
        ("1,0", [1, 0]),
        ("GPU-111", [1]),
        ("0,7,1", [0]),
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_visible_devices_choose_and_order_the_cards(
    machine: pytest.MonkeyPatch, chosen: str, indices: list[int]
) -> None:
    machine.setenv("CUDA_VISIBLE_DEVICES", chosen)
    found = detect()
    assert [c.index for c in found.cards] == indices
    assert len(found.cards) + len(found.hidden) == 2


def test_nvidia_smi_stands_in_where_the_binding_is_missing(machine: pytest.MonkeyPatch) -> None:
    machine.setitem(sys.modules, "pynvml", None)
    machine.setenv("PATH", f"{FAKES / 'h100'}:/usr/bin:/bin")
    assert len(detect().cards) == 2


def test_corex_cards_are_found_where_there_are_no_nvidia_ones(machine: pytest.MonkeyPatch) -> None:
    machine.setitem(sys.modules, "pynvml", fake_nvml(nvmlInit=FakeNvmlError(12, "absent")))
    machine.setenv("PATH", f"{FAKES / 'mr_v100'}:/usr/bin:/bin")
    machine.setenv("IX_VISIBLE_DEVICES", "0,1,2,3")
    found = detect()
    assert found.vendor == "iluvatar"
    assert len(found.cards) == 4


@pytest.mark.parametrize("chosen", ["MIG-aaaa-bbbb", "MIG-GPU-000/7/0", "mig-1"])
def test_a_slice_of_a_card_is_called_by_its_name(machine: pytest.MonkeyPatch, chosen: str) -> None:
    machine.setenv("CUDA_VISIBLE_DEVICES", chosen)
    found = detect()
    assert not found.cards and any(chosen in line and "MIG" in line for line in found.troubles)
