from __future__ import annotations

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_model, names
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.environment import choose_model
from tests.doubles.machines import h100, mr_v100, rtx_4090, t4, v100


def configured(*extra: str) -> list[ModelConfig]:
    wanted = {"pixtral-12b", "pixtral-12b-hf", "pixtral-large-w4a16", "qwen2.5-vl-7b", *extra}
    return [load_model(name) for name in names(ModelConfig) if name in wanted]


def test_one_large_card_gets_pixtral_12b_in_its_own_format() -> None:
    name, reason = choose_model(h100(), configured("pixtral-random"))
    assert name == "pixtral-12b"
    assert "largest Pixtral for 1 × NVIDIA H100 80GB HBM3 (80 GiB)" in reason


def test_several_cards_get_pixtral_large() -> None:
    assert choose_model(h100(4), configured())[0] == "pixtral-large-w4a16"
    assert choose_model(mr_v100(8), configured())[0] == "pixtral-large-w4a16"


@pytest.mark.parametrize("cards", [v100(), rtx_4090(), rtx_4090(2)])
def test_cards_that_hold_pixtral_12b_just_so_get_it(cards: list[object]) -> None:
    assert choose_model(cards, configured("pixtral-random"))[0] == "pixtral-12b"  # type: ignore[arg-type]


def test_a_card_that_holds_no_pixtral_gets_the_small_checkpoint_and_is_told() -> None:
    name, reason = choose_model(t4(), configured("pixtral-random"))
    assert name == "pixtral-random"
    assert "no configured Pixtral fits" in reason
    assert "RANDOM WEIGHTS" in reason


def test_without_a_card_the_small_checkpoint_answers() -> None:
    models = configured("pixtral-random")
    name, reason = choose_model((), models)
    assert name == "pixtral-random"
    assert "no GPU" in reason


def test_a_trained_small_checkpoint_goes_before_the_random_one() -> None:
    random = load_model("pixtral-random")
    nano = random.model_copy(update={"name": "pixtral-nano", "weights": "trained"})
    name, reason = choose_model((), [random, nano])
    assert name == "pixtral-nano"
    assert "RANDOM" not in reason


def test_nothing_to_choose_from_asks_for_a_name() -> None:
    with pytest.raises(UserError, match="give --model NAME"):
        choose_model((), configured())
