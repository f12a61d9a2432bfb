"""The same text for every question, whatever the order, the grouping, the concurrency."""

import json
from typing import Any

import pytest

from tests.doubles.processes import REPOSITORY, vllm_program

TRAINED = REPOSITORY / "configs" / "models" / "pixtral-nano"


# In float32: in bfloat16 another batch size rounds otherwise, and a near-tie can tip.
PLAIN = {"dtype": "float32"}
# vLLM's cache holds about two of these images, and many more are in flight.
SMALL_CACHE = {"dtype": "float32", "mm_processor_cache_gb": 0.003}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of both engines, from one process: vLLM's imports take as long as the questions."""
    scratch = tmp_path_factory.mktemp("answers")
    return vllm_program(
        "tests.tasks.inference.answers_program",
        *(TRAINED, 24, json.dumps(PLAIN), json.dumps(SMALL_CACHE)),
        scratch=scratch,
    )


def differing(texts: dict[str, dict[str, str]]) -> dict[str, dict[str, tuple[str, str]]]:
    one_by_one = texts["chat"]
    return {
        way: {i: (other[i], text) for i, text in one_by_one.items() if other[i] != text}
        for way, other in texts.items()
    }


@pytest.mark.engine
def test_every_way_of_asking_gives_the_answers_of_one_chat_at_a_time(results: Any) -> None:
    result, _ = results
    one_by_one = result["texts"]["chat"]
    assert len(one_by_one) == result["questions"] > 70
    # The checkpoint is trained: its answers differ from question to question.
    assert len(set(one_by_one.values())) > 20
    assert differing(result["texts"]) == {way: {} for way in result["texts"]}
    assert set(result["resent"].values()) == {0}


@pytest.mark.engine
def test_an_image_that_vllm_dropped_is_sent_again_and_answered_alike(results: Any) -> None:
    _, result = results
    assert result["resent"]["grouped"] > 0
    assert differing(result["texts"]) == {way: {} for way in result["texts"]}
