"""On a machine with an NVIDIA card: what NVML and nvidia-smi say of it agrees."""

from __future__ import annotations

import pytest

from pixtrack.configs.loading import load_model
from pixtrack.tasks.environment import detect, plan_memory, smi
from pixtrack.tasks.environment.cards import GIB

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _needs_a_card() -> None:
    if detect().vendor != "nvidia":
        pytest.skip("no NVIDIA card on this machine")


def test_nvml_and_nvidia_smi_report_the_same_cards() -> None:
    found, printed = detect(), smi.nvidia()
    assert found.driver == printed.driver
    assert [c.name for c in found.cards + found.hidden] == [c.name for c in printed.cards]
    for card in found.cards:
        other = next(c for c in printed.cards if c.index == card.index)
        assert card.total_bytes == pytest.approx(other.total_bytes, rel=0.02)
        assert card.compute_capability == other.compute_capability


def test_pixtral_is_planned_on_the_real_cards() -> None:
    cards = detect().cards
    plan = plan_memory(load_model("pixtral-12b"), None, cards)
    if min(card.total_bytes for card in cards) > 38 * GIB:
        assert plan.fits
        assert plan.quantization == ""
    assert plan.fits or "does not fit" in plan.refusal
